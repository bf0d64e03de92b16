package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrNotPermitted says that the token may not do that. The error names the permission that is missing: its owner can
// grant it.
var ErrNotPermitted = errors.New("GitHub does not permit it")

// notAccessible is in GitHub's words about a permission that is missing, "Resource not accessible by integration". The
// other refusals with 403 have other reasons.
const notAccessible = "not accessible by"

// named makes an [ErrNotPermitted] of a refusal for a missing permission.
func (cl call) named(err error) error {
	refused, ok := errors.AsType[*APIError](err)
	if !ok || refused.Status != http.StatusForbidden || cl.permission == "" || !strings.Contains(refused.Message, notAccessible) {
		return err
	}
	return fmt.Errorf("%w: grant %q to the GitHub App or token: %w", ErrNotPermitted, cl.permission, err)
}

// wantedPermissions are what all methods of a Client together need. Contents are no part of it.
func wantedPermissions() map[string]string {
	return map[string]string{
		"checks": "write", "deployments": "write", "pull_requests": "write", "statuses": "write", "metadata": "read",
	}
}

// granted are those of wanted that an installation has: GitHub refuses a token that asks for more, and one that asks
// for nothing can do everything. What somebody grants later, the next token has.
func (a *app) granted(ctx context.Context, repository string) (map[string]string, error) {
	found, err := a.lookUp(ctx, repository)
	if err != nil {
		return nil, err
	}
	levels := map[string]int{"read": 1, "write": 2, "admin": 3}
	granted := map[string]string{}
	for name, wanted := range a.permissions {
		has := found.Permissions[name]
		switch {
		case levels[has] == 0:
		case levels[has] < levels[wanted]:
			granted[name] = has
		default:
			granted[name] = wanted
		}
	}
	if len(granted) == 0 {
		return nil, fmt.Errorf("%w: the installation in %s grants nothing of %v", ErrNotPermitted, repository, a.permissions)
	}
	return granted, nil
}
