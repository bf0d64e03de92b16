package oci

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// FindImage returns the digest of the image that tag names. Neither an image
// nor its repository has to exist.
func (r *Registry) FindImage(ctx context.Context, repository, tag string) (digest string, found bool, err error) {
	repo, err := r.repository(repository)
	if err != nil {
		return "", false, err
	}
	digest, err = r.head(ctx, repo.Tag(tag))
	if errors.Is(err, ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("looking for %s:%s: %w", repository, tag, err)
	}
	return digest, true, nil
}

// Platform returns the digest under which reference (repository@sha256:… or
// repository:tag) is deployed: of an index with exactly one platform that
// platform's manifest, otherwise its own. Attestations are no platform. The
// platform's digest stays the same when a build is repeated with provenance;
// that of the index does not (https://github.com/moby/buildkit/issues/5894).
func (r *Registry) Platform(ctx context.Context, reference string) (digest string, err error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", fmt.Errorf("image %q: %w", reference, err)
	}
	repo, err := r.repository(parsed.Context().Name())
	if err != nil {
		return "", err
	}
	var ref name.Reference = repo.Tag(parsed.Identifier())
	if _, byDigest := parsed.(name.Digest); byDigest {
		ref = repo.Digest(parsed.Identifier())
	}
	err = r.read(ctx, func(ctx context.Context, p *remote.Puller) error {
		descriptor, err := p.Get(withLimit(ctx, maxIndexBytes), ref)
		if err != nil {
			return err
		}
		digest, err = deployed(descriptor)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("resolving %s: %w", reference, r.explain(ctx, repo, err))
	}
	return digest, nil
}

func deployed(d *remote.Descriptor) (string, error) {
	if !d.MediaType.IsIndex() {
		return d.Digest.String(), nil
	}
	index, err := d.ImageIndex()
	if err != nil {
		return "", err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return "", fmt.Errorf("reading the index: %w", err)
	}
	var platforms []v1.Descriptor
	for _, m := range manifest.Manifests {
		if !attestation(m) {
			platforms = append(platforms, m)
		}
	}
	switch len(platforms) {
	case 0:
		return "", fmt.Errorf("the index %s has no platform", d.Digest)
	case 1:
		return platforms[0].Digest.String(), nil
	}
	return d.Digest.String(), nil
}

// attestation reports whether BuildKit put d into the index to say something
// about another entry.
//
// https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
func attestation(d v1.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}
