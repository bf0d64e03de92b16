package lifecycle

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/registry"
)

// Push pushes an image to the lab's registry and returns REPOSITORY@DIGEST. A
// reference without the registry's host gets it.
func Push(ctx context.Context, lab *layout.Lab, reference string, img v1.Image) (string, error) {
	if !strings.HasPrefix(reference, lab.Registry()+"/") {
		reference = lab.Registry() + "/" + reference
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return "", fmt.Errorf("reading an image reference: %w", err)
	}
	options, err := remoteOptions(ctx, lab)
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, img, options...); err != nil {
		return "", fmt.Errorf("pushing %s: %w", reference, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("hashing %s: %w", reference, err)
	}
	return tag.Context().Digest(digest.String()).Name(), nil
}

// Requests are how many requests the lab's registry got for one repository since
// it started, by method and class, such as "PUT manifests".
func Requests(ctx context.Context, lab *layout.Lab, repository string) (map[string]int, error) {
	transport, err := trusting(lab)
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	address := "https://" + lab.Registry() + "/_lab/requests?repository=" + url.QueryEscape(repository)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the registry: %w", err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the registry: %w", err)
	}
	defer response.Body.Close()
	var counts map[string]int
	if err := json.NewDecoder(io.LimitReader(response.Body, maxCountsBytes)).Decode(&counts); err != nil {
		return nil, fmt.Errorf("reading the registry's counts: %s: %w", response.Status, err)
	}
	return counts, nil
}

// maxCountsBytes caps the registry's counts: some twenty short lines.
const maxCountsBytes = 64 << 10

// trusting is a transport that trusts the lab's authority.
func trusting(lab *layout.Lab) (*http.Transport, error) {
	ca, err := os.ReadFile(lab.CA())
	if err != nil {
		return nil, fmt.Errorf("reading the lab's authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, nil
}

func remoteOptions(ctx context.Context, lab *layout.Lab) ([]remote.Option, error) {
	transport, err := trusting(lab)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(lab.TokenFile())
	if err != nil {
		return nil, fmt.Errorf("reading the registry's token: %w", err)
	}
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(transport),
		remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: registry.Username, Password: strings.TrimSpace(string(token))})),
	}, nil
}
