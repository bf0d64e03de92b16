package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/inhaul/inhaul/action"
	"github.com/inhaul/inhaul/internal/github"
	"github.com/inhaul/inhaul/internal/oci"
)

// registry makes an oci.Registry what the Action wants.
type registry struct{ *oci.Registry }

var (
	_ action.Images    = registry{}
	_ action.Publisher = registry{}
	_ action.Intents   = registry{}
	_ action.Receipts  = registry{}
)

func (r registry) FindImage(ctx context.Context, repository, tag string) (string, bool, error) {
	digest, found, err := r.Registry.FindImage(ctx, repository, tag)
	return digest, found, mendable(err)
}

func (r registry) Platform(ctx context.Context, reference string) (digest, user string, err error) {
	image, err := r.Registry.Platform(ctx, reference)
	return image.Digest, image.User, mendable(err)
}

func (r registry) Publish(ctx context.Context, p action.Publication) (string, error) {
	tag := oci.Tag(p.Environment, p.IssuedAt, p.Digest)
	_, err := r.Registry.Publish(ctx, p.Repository, tag, p.Envelope)
	return p.Repository + ":" + tag, mendable(err)
}

func (r registry) Tags(ctx context.Context, repository, environment string) ([]string, error) {
	all, err := r.List(ctx, repository)
	return oci.TagsOf(environment, all), mendable(err)
}

func (r registry) Fetch(ctx context.Context, repository, tag string) ([]byte, error) {
	envelope, err := r.Registry.Fetch(ctx, repository, tag)
	return envelope, mendable(err)
}

func (r registry) FetchReceipt(ctx context.Context, repository, intent string, number int) ([]byte, bool, error) {
	envelope, found, err := r.Registry.FetchReceipt(ctx, repository, intent, number)
	if errors.Is(err, oci.ErrNotReceipt) {
		return nil, false, &action.UserError{Message: err.Error()}
	}
	return envelope, found, mendable(err)
}

// mendable marks what the user can put right: the message of oci says how.
func mendable(err error) error {
	for _, target := range []error{oci.ErrRefused, oci.ErrNotFound, oci.ErrTaken, oci.ErrTooLarge} {
		if errors.Is(err, target) {
			return &action.UserError{Message: err.Error()}
		}
	}
	return err
}

func mendableToken(err error) error {
	if errors.Is(err, github.ErrNoIDToken) {
		return &action.UserError{Message: err.Error()}
	}
	return err
}

// verdicts makes a GitHub client what the Action wants.
type verdicts struct {
	client *github.Client
	server string // GITHUB_SERVER_URL
}

var _ action.Verdicts = verdicts{}

func (v verdicts) Find(ctx context.Context, repository, commit, name, externalID string) (action.Check, bool, error) {
	run, found, err := v.client.FindCheckRun(ctx, repository, commit, name, externalID)
	if refusal, ok := errors.AsType[*github.APIError](err); ok {
		switch refusal.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
			return action.Check{}, false, fmt.Errorf("%w: %w", action.ErrNoAccess, err)
		}
	}
	return action.Check{
		Status: run.Status, Conclusion: run.Conclusion, Title: run.Title, Summary: run.Summary, Text: run.Text,
		URL: v.url(repository, run),
	}, found, err
}

// url is where people see the check run: the agent's own page if it names one,
// else GitHub's.
func (v verdicts) url(repository string, run github.CheckRun) string {
	if run.DetailsURL != "" || run.ID == 0 {
		return run.DetailsURL
	}
	return fmt.Sprintf("%s/%s/runs/%d", v.server, repository, run.ID)
}
