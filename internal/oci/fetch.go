package oci

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxPages ends a list that never ends; MaxTags fit even with pages of 100.
const maxPages = MaxTags / 100

// List returns all tags of repository in the registry's order; none if the
// repository does not exist. More than MaxTags are ErrTooLarge.
func (r *Registry) List(ctx context.Context, repository string) ([]string, error) {
	repo, err := r.repository(repository)
	if err != nil {
		return nil, err
	}
	var tags []string
	err = r.read(ctx, func(ctx context.Context, p *remote.Puller) error {
		tags = nil
		lister, err := p.Lister(ctx, repo)
		if err != nil {
			return err
		}
		for pages := 0; lister.HasNext(); pages++ {
			page, err := lister.Next(ctx)
			if err != nil {
				return err
			}
			if tags = append(tags, page.Tags...); len(tags) > MaxTags || pages >= maxPages {
				return fmt.Errorf("%w: more than %d tags: let a lifecycle policy delete old ones", ErrTooLarge, MaxTags)
			}
		}
		return nil
	})
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", repository, r.explain(ctx, repo, err))
	}
	return tags, nil
}

// Fetch returns the envelope of the intent that tag names. What is there but is
// no intent is ErrNotIntent, and over its bounds ErrTooLarge.
func (r *Registry) Fetch(ctx context.Context, repository, tag string) ([]byte, error) {
	return r.fetch(ctx, intentKind(), repository, tag)
}

func (r *Registry) fetch(ctx context.Context, k kind, repository, tag string) ([]byte, error) {
	repo, err := r.repository(repository)
	if err != nil {
		return nil, err
	}
	var envelope []byte
	err = r.read(ctx, func(ctx context.Context, p *remote.Puller) error {
		descriptor, err := p.Get(withLimit(ctx, maxManifestBytes), repo.Tag(tag))
		if err != nil {
			return err
		}
		layer, err := k.layer(descriptor)
		if err != nil {
			return err
		}
		envelope, err = k.blob(ctx, p, repo, layer)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fetching %s:%s: %w", repository, tag, r.explain(ctx, repo, err))
	}
	return envelope, nil
}

// layer returns the one layer of a manifest of this kind.
func (k kind) layer(d *remote.Descriptor) (v1.Descriptor, error) {
	if d.MediaType != types.OCIManifestSchema1 {
		return v1.Descriptor{}, fmt.Errorf("%w: got a manifest of type %.100q, want %q", k.foreign, d.MediaType, types.OCIManifestSchema1)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(d.Manifest))
	switch {
	case err != nil:
		return v1.Descriptor{}, fmt.Errorf("%w: the manifest is not JSON of an image", k.foreign)
	case manifest.Config.MediaType != k.config:
		return v1.Descriptor{}, fmt.Errorf("%w: got a config of type %.100q, want %q", k.foreign, manifest.Config.MediaType, k.config)
	case len(manifest.Layers) != 1:
		return v1.Descriptor{}, fmt.Errorf("%w: got %d layers, want 1", k.foreign, len(manifest.Layers))
	case manifest.Layers[0].MediaType != k.envelope:
		return v1.Descriptor{}, fmt.Errorf("%w: got a layer of type %.100q, want %q", k.foreign, manifest.Layers[0].MediaType, k.envelope)
	case manifest.Layers[0].Size > int64(k.most):
		return v1.Descriptor{}, fmt.Errorf("%w: the envelope has %d bytes, want at most %d", ErrTooLarge, manifest.Layers[0].Size, k.most)
	}
	return manifest.Layers[0], nil
}

// blob returns the bytes that d describes, checked against its digest.
func (k kind) blob(ctx context.Context, p *remote.Puller, repo name.Repository, d v1.Descriptor) ([]byte, error) {
	ctx = withLimit(ctx, int64(k.most))
	layer, err := p.Layer(ctx, repo.Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	stream, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer stream.Close() //nolint:errcheck // read to its end or given up: nothing is left to lose
	content, err := io.ReadAll(stream)
	if err != nil {
		return nil, err
	}
	if int64(len(content)) != d.Size {
		return nil, fmt.Errorf("%w: the envelope has %d bytes, its manifest says %d", k.foreign, len(content), d.Size)
	}
	return content, nil
}
