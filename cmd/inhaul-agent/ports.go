package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/internal/github"
	"github.com/inhaul/inhaul/internal/oci"
)

// intents is a registry as the agent sees it.
type intents struct{ registry *oci.Registry }

var _ agent.Registry = intents{}

// List leaves out tags that are not an intent's.
func (i intents) List(ctx context.Context, repository string) ([]agent.Notice, error) {
	tags, err := i.registry.List(ctx, repository)
	if err != nil {
		return nil, err
	}
	notices := make([]agent.Notice, 0, len(tags))
	for _, tag := range tags {
		if environment, issuedAt, digest, ok := oci.ParseTag(tag); ok {
			notices = append(notices, agent.Notice{Tag: tag, Environment: environment, IssuedAt: issuedAt, DigestPrefix: digest})
		}
	}
	return notices, nil
}

// Fetch says ErrNotIntent for what another try will not mend.
func (i intents) Fetch(ctx context.Context, repository, tag string) ([]byte, error) {
	envelope, err := i.registry.Fetch(ctx, repository, tag)
	if errors.Is(err, oci.ErrTooLarge) || errors.Is(err, oci.ErrNotIntent) {
		return nil, fmt.Errorf("%w: %w", agent.ErrNotIntent, err)
	}
	return envelope, err
}

// issuers are the OIDC issuers that the Apps name.
type issuers struct {
	logger *slog.Logger

	mu  sync.Mutex
	all map[string]*github.Keys
}

var _ agent.Keys = (*issuers)(nil)

func newIssuers(logger *slog.Logger) *issuers {
	return &issuers{logger: logger.With("component", "keys"), all: map[string]*github.Keys{}}
}

func (i *issuers) of(issuer string) *github.Keys {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.all[issuer] == nil {
		i.all[issuer] = github.NewKeys(issuer, github.KeysConfig{Logger: i.logger})
	}
	return i.all[issuer]
}

func (i *issuers) Keys(ctx context.Context, issuer string) (jose.JSONWebKeySet, error) {
	return i.of(issuer).Set(ctx)
}

func (i *issuers) Refresh(ctx context.Context, issuer string) (jose.JSONWebKeySet, error) {
	return i.of(issuer).Refresh(ctx)
}

// maxLimitWait is how long a report waits for GitHub's rate limit in its place.
// After that it makes room for reports of other accounts, and comes back.
const maxLimitWait = 5 * time.Second

// checks are check runs as the agent sees them.
type checks struct{ client *github.Client }

var _ agent.Checks = checks{}

// newChecks is nil without a GitHub App: verdicts then stay in the cluster. leads
// is asked before every write.
func newChecks(s settings, meter github.Meter, leads func() error, logger *slog.Logger) (agent.Checks, error) {
	if s.githubAppID == 0 {
		logger.Warn("no GitHub App is configured: verdicts stay in the cluster")
		return nil, nil
	}
	key, err := github.ParsePrivateKey(s.githubAppKey)
	if err != nil {
		return nil, fmt.Errorf("reading INHAUL_GITHUB_APP_KEY_FILE: %w", err)
	}
	client, err := github.NewApp(github.AppConfig{
		BaseURL: s.githubURL, AppID: s.githubAppID, PrivateKey: key, Logger: logger.With("component", "github"), Now: time.Now,
		Pace: github.Pace{MaxWait: maxLimitWait}, Meter: meter, MayWrite: leads,
	})
	if err != nil {
		return nil, err
	}
	return checks{client}, nil
}

// Show says ErrNoCommit for what another try will not mend.
func (c checks) Show(ctx context.Context, check agent.Check) (int64, error) {
	id, err := c.client.UpsertCheckRun(ctx, github.CheckRun{
		ID: check.ID, Repository: check.Repository, HeadSHA: check.Commit, Name: check.Name, ExternalID: check.ExternalID,
		Status: string(check.Status), Conclusion: string(check.Conclusion), Title: check.Title, Summary: check.Summary,
		Text: check.Text, DetailsURL: check.DetailsURL, StartedAt: check.StartedAt, CompletedAt: check.CompletedAt,
	})
	if impossible(err) {
		err = fmt.Errorf("%w: %w", agent.ErrNoCommit, err)
	}
	return id, err
}

// impossible reports whether GitHub has refused a check run for good: its
// repository, commit or itself is gone. That the App is not installed there, a
// 404 too, somebody may be about to mend.
func impossible(err error) bool {
	refused, ok := errors.AsType[*github.APIError](err)
	if !ok || !strings.Contains(refused.Path, "/check-runs") {
		return false
	}
	switch refused.Status {
	case http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity:
		return true
	}
	return false
}
