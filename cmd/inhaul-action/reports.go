package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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

// forbidden says ErrMayNotWrite for what another try will not mend. Of a private
// repository GitHub answers 404 for what a token may not do.
func forbidden(err error) error {
	if errors.Is(err, github.ErrNotPermitted) {
		return fmt.Errorf("%w: %w", action.ErrMayNotWrite, err)
	}
	if refusal, ok := errors.AsType[*github.APIError](err); ok {
		switch refusal.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
			return fmt.Errorf("%w: %w", action.ErrMayNotWrite, err)
		}
	}
	return err
}
