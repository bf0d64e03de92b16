package oci

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Publish puts envelope into repository under tag and returns the digest of its
// manifest. Publishing the same again is no error and writes nothing. A tag
// that holds anything else is ErrTaken; a repository that does not exist is
// ErrNotFound.
func (r *Registry) Publish(ctx context.Context, repository, tag string, envelope []byte) (digest string, err error) {
	return r.publish(ctx, intentKind(), repository, tag, envelope)
}

func (r *Registry) publish(ctx context.Context, k kind, repository, tag string, envelope []byte) (digest string, err error) {
	if len(envelope) > k.most {
		return "", fmt.Errorf("publishing %s of %d bytes, want at most %d: %w", k.noun, len(envelope), k.most, ErrTooLarge)
	}
	repo, err := r.repository(repository)
	if err != nil {
		return "", err
	}
	image, err := newArtifact(k, envelope)
	if err != nil {
		return "", err
	}
	want, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("digesting the manifest: %w", err)
	}
	reference := repo.Tag(tag)
	// Looking first keeps a registry with mutable tags from overwriting.
	there, err := r.head(ctx, reference)
	if errors.Is(err, ErrNotFound) {
		if err = r.push(ctx, reference, image); err == nil {
			return want.String(), nil
		}
		pushErr := err
		// Somebody else may have been faster, and immutable tags refuse the second.
		if there, err = r.head(ctx, reference); err != nil {
			return "", fmt.Errorf("publishing to %s: %w", repository, pushErr)
		}
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("publishing to %s: %w", repository, err)
	case there != want.String():
		return "", fmt.Errorf("publishing to %s: %w: %s holds %s, want %s", repository, ErrTaken, tag, there, want)
	}
	return there, nil
}

func (r *Registry) push(ctx context.Context, reference name.Tag, image remote.Taggable) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pusher, err := remote.NewPusher(r.options()...)
	if err != nil {
		return fmt.Errorf("preparing to push: %w", err)
	}
	err = pusher.Push(ctx, reference, image)
	if absent(err) || hasCode(err, transport.NameUnknownErrorCode) {
		return fmt.Errorf("%w: the repository %s does not exist: create it, or name another one in intents-repository",
			ErrNotFound, reference.Context().RepositoryStr())
	}
	return r.explain(ctx, reference.Context(), err)
}

// head returns the digest that reference has.
func (r *Registry) head(ctx context.Context, reference name.Reference) (digest string, err error) {
	err = r.read(ctx, func(ctx context.Context, p *remote.Puller) error {
		descriptor, err := p.Head(ctx, reference)
		if err == nil {
			digest = descriptor.Digest.String()
		}
		return err
	})
	return digest, r.explain(ctx, reference.Context(), err)
}
