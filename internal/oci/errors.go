package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// What callers tell apart.
var (
	ErrNotFound   = errors.New("not found in the registry")
	ErrTooLarge   = errors.New("too large")
	ErrNotIntent  = errors.New("not an intent")       // never will be: asking again is useless
	ErrNotReceipt = errors.New("not a receipt")       // likewise
	ErrRefused    = errors.New("refused by registry") // no or wrong credentials, or no right
	ErrTaken      = errors.New("the tag is taken")    // by something else
)

// maxCodes is how many error codes of an answer a message repeats.
const maxCodes = 3

// refused reports whether the registry wants another login.
func refused(err error) bool {
	answer, ok := errors.AsType[*transport.Error](err)
	return ok && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden)
}

// absent reports whether the registry has no such repository, manifest or blob.
func absent(err error) bool {
	answer, ok := errors.AsType[*transport.Error](err)
	return ok && answer.StatusCode == http.StatusNotFound
}

// hasCode reports whether the registry answered with that error code.
func hasCode(err error, code transport.ErrorCode) bool {
	answer, ok := errors.AsType[*transport.Error](err)
	return ok && slices.ContainsFunc(answer.Errors, func(d transport.Diagnostic) bool { return d.Code == code })
}

// explain returns err in our words. What the registry wrote is left out but for
// its error codes: ECR's refusals name accounts and roles, and redirects carry
// signed URLs.
func (r *Registry) explain(ctx context.Context, repository name.Repository, err error) error {
	host := repository.RegistryStr()
	answer, answered := errors.AsType[*transport.Error](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrNotIntent), errors.Is(err, ErrNotReceipt):
		return err
	case refused(err):
		return fmt.Errorf("%w: %s", ErrRefused, r.refusal(ctx, repository, answer.StatusCode))
	case absent(err):
		return fmt.Errorf("%w: %s", ErrNotFound, repository.RepositoryStr())
	case answered:
		return fmt.Errorf("registry %s answered %d %s%s", host, answer.StatusCode, http.StatusText(answer.StatusCode), codes(answer))
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("asking registry %s: %w", host, wrapped.Err)
	}
	return fmt.Errorf("asking registry %s: %w", host, err)
}

// refusal says what is wrong with the login, and what to do.
func (r *Registry) refusal(ctx context.Context, repository name.Repository, status int) string {
	host := repository.RegistryStr()
	who, err := authn.Resolve(ctx, r.keychain, repository)
	switch {
	case err != nil:
		return fmt.Sprintf("%s wants a login and the Docker configuration cannot be read: check the step that logs in", host)
	case who == authn.Anonymous:
		return fmt.Sprintf("%s wants a login and there are no credentials for it: run `docker login %s`, or in a workflow aws-actions/amazon-ecr-login, in a step before", host, host)
	case status == http.StatusForbidden:
		return fmt.Sprintf("the credentials for %s are known but may not do this in %s: check what their role allows", host, repository.RepositoryStr())
	}
	return fmt.Sprintf("%s does not take the credentials there are for it (wrong, or too old): log in again in a step before", host)
}

// codes lists the error codes of answer, which are words of the specification.
func codes(answer *transport.Error) string {
	var known []string
	for _, d := range answer.Errors {
		code := string(d.Code)
		if len(known) < maxCodes && len(code) <= 64 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
			known = append(known, code)
		}
	}
	if len(known) == 0 {
		return ""
	}
	return " (" + strings.Join(known, ", ") + ")"
}
