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

// Deployable is an image as it is deployed.
type Deployable struct {
	Digest string
	// User is the user of the image's configuration, "1000" or "node:node";
	// empty: none is set, which means root, or the platforms differ.
	User string
}

// Platform returns what reference (repository@sha256:… or repository:tag) is
// deployed as: of an index with exactly one platform that platform's manifest,
// otherwise its own digest. Attestations are no platform. The platform's digest
// stays the same when a build is repeated with provenance; that of the index
// does not (https://github.com/moby/buildkit/issues/5894).
func (r *Registry) Platform(ctx context.Context, reference string) (Deployable, error) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return Deployable{}, fmt.Errorf("image %q: %w", reference, err)
	}
	repo, err := r.repository(parsed.Context().Name())
	if err != nil {
		return Deployable{}, err
	}
	var ref name.Reference = repo.Tag(parsed.Identifier())
	if _, byDigest := parsed.(name.Digest); byDigest {
		ref = repo.Digest(parsed.Identifier())
	}
	var image Deployable
	err = r.read(ctx, func(ctx context.Context, p *remote.Puller) error {
		descriptor, err := p.Get(withLimit(ctx, maxIndexBytes), ref)
		if err != nil {
			return err
		}
		image, err = deployed(descriptor)
		return err
	})
	if err != nil {
		return Deployable{}, fmt.Errorf("resolving %s: %w", reference, r.explain(ctx, repo, err))
	}
	return image, nil
}

func deployed(d *remote.Descriptor) (Deployable, error) {
	if !d.MediaType.IsIndex() {
		image, err := d.Image()
		if err != nil {
			return Deployable{}, err
		}
		user, err := userOf(image)
		return Deployable{Digest: d.Digest.String(), User: user}, err
	}
	index, err := d.ImageIndex()
	if err != nil {
		return Deployable{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return Deployable{}, fmt.Errorf("reading the index: %w", err)
	}
	var platforms []v1.Descriptor
	for _, m := range manifest.Manifests {
		if !attestation(m) {
			platforms = append(platforms, m)
		}
	}
	if len(platforms) == 0 {
		return Deployable{}, fmt.Errorf("the index %s has no platform", d.Digest)
	}
	user, err := commonUser(index, platforms)
	if err != nil {
		return Deployable{}, err
	}
	if len(platforms) == 1 {
		return Deployable{Digest: platforms[0].Digest.String(), User: user}, nil
	}
	return Deployable{Digest: d.Digest.String(), User: user}, nil
}

// commonUser is the user of all platforms; empty if they differ.
func commonUser(index v1.ImageIndex, platforms []v1.Descriptor) (string, error) {
	common := ""
	for i, platform := range platforms[:min(len(platforms), maxPlatforms)] {
		image, err := index.Image(platform.Digest)
		if err != nil {
			return "", err
		}
		user, err := userOf(image)
		if err != nil {
			return "", err
		}
		if i > 0 && user != common {
			return "", nil
		}
		common = user
	}
	return common, nil
}

func userOf(image v1.Image) (string, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return "", fmt.Errorf("reading the image's configuration: %w", err)
	}
	if len(config.Config.User) > maxUserBytes {
		return "", nil
	}
	return config.Config.User, nil
}

// attestation reports whether BuildKit put d into the index to say something
// about another entry.
//
// https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
func attestation(d v1.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
}
