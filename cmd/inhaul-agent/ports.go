package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

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
