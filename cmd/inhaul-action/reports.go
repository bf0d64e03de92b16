package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/inhaul/inhaul/action"
	"github.com/inhaul/inhaul/internal/github"
	"github.com/inhaul/inhaul/receipt"
)

// reports writes to GitHub what receipts say.
type reports struct {
	client *github.Client
	server string // GITHUB_SERVER_URL
}

var _ action.Reporter = reports{}

func (r reports) ShowCheck(ctx context.Context, id int64, c receipt.Check) (int64, string, error) {
	run := github.CheckRun{
		ID: id, Repository: c.Repository, HeadSHA: c.Commit, Name: c.Name, ExternalID: c.ExternalID,
		Status: c.Status, Conclusion: c.Conclusion, Title: c.Title, Summary: c.Summary, Text: c.Text,
		DetailsURL: c.DetailsURL, StartedAt: c.StartedAt, CompletedAt: c.CompletedAt,
	}
	for _, a := range c.Annotations {
		run.Annotations = append(run.Annotations, github.Annotation(a))
	}
	var err error
	run.ID, err = r.client.UpsertCheckRun(ctx, run)
	return run.ID, verdicts(r).url(c.Repository, run), forbidden(err)
}

func (r reports) ShowComment(ctx context.Context, id int64, c receipt.Comment) (int64, error) {
	id, err := r.client.UpsertComment(ctx, github.Comment{ID: id, Repository: c.Repository, Issue: c.PullRequest, Marker: c.Marker, Body: c.Body})
	return id, forbidden(err)
}

// readOnly is in GitHub's words about what nobody may write: "Unable to create
// comment because issue is locked." and "Repository was archived so is read-only."
var readOnly = regexp.MustCompile(`(?i)\b(locked|archived)\b`)

// forbidden says ErrMayNotWrite and ErrReadOnly for what another try will not mend,
// and how long GitHub wants to be left alone. Of a private repository GitHub answers
// 404 for what a token may not do.
func forbidden(err error) error {
	if limited, ok := errors.AsType[*github.RateLimitedError](err); ok {
		return &action.LaterError{After: limited.RetryAfter, Cause: err}
	}
	if errors.Is(err, github.ErrNotPermitted) {
		return fmt.Errorf("%w: %w", action.ErrMayNotWrite, err)
	}
	if refusal, ok := errors.AsType[*github.APIError](err); ok {
		if refusal.Status == http.StatusForbidden && readOnly.MatchString(refusal.Message) {
			return fmt.Errorf("%w: %s", action.ErrReadOnly, refusal.Message)
		}
		switch refusal.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
			return fmt.Errorf("%w: %w", action.ErrMayNotWrite, err)
		}
	}
	return err
}
