// Package oci keeps images, intents and receipts in a registry.
//
// Start with New, then Publish, FindImage and FetchReceipt in a workflow, List,
// Fetch and PublishReceipt in the cluster. Promises: every answer has a size cap and every call a timeout;
// what is returned has the digest it was asked for; nothing depends on the
// referrers API or on a moving tag; no credential, signed URL or account is in
// an error.
package oci

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// The bounds of what is read and of how long it may take.
const (
	MaxEnvelopeBytes = 256 << 10 // of one intent
	MaxReceiptBytes  = 2 << 20   // of one receipt: the longest check and comment that GitHub takes, see package receipt
	MaxTags          = 100_000   // of one repository; ECR's own limit of images

	maxManifestBytes = 64 << 10 // of an intent
	maxIndexBytes    = 4 << 20  // of an image; the distribution specification asks registries for this much
	maxPlatforms     = 16       // of an index, whose configurations are looked at
	maxUserBytes     = 128      // of an image's configuration; longer ones name nobody
	maxAnswerBytes   = 16 << 20 // of anything else: MaxTags in one page from a registry that ignores n

	callTimeout     = 60 * time.Second // one method of Registry, with its retries
	dialTimeout     = 10 * time.Second
	responseTimeout = 20 * time.Second // from request to the answer's header

	// ECR refuses more: https://github.com/google/go-containerregistry/issues/1091
	defaultPageSize = 1000
)

// Registry is every registry that the keychain knows, over one transport. It is
// safe for concurrent use, and keeps its logins so that a poll is one request.
type Registry struct {
	keychain  authn.Keychain
	transport http.RoundTripper
	userAgent string
	pageSize  int
	insecure  bool

	mu     sync.Mutex
	puller *remote.Puller // nil until the first call and after a refusal
}

// Option changes how New makes a Registry.
type Option func(*Registry)

// WithKeychain sets where credentials come from; the default is Docker's
// configuration.
func WithKeychain(k authn.Keychain) Option { return func(r *Registry) { r.keychain = k } }

// WithTransport sets what requests go through. Answers are capped on top of it.
func WithTransport(t http.RoundTripper) Option { return func(r *Registry) { r.transport = t } }

// WithUserAgent sets who we say we are, "inhaul-action/1.2.3".
func WithUserAgent(agent string) Option { return func(r *Registry) { r.userAgent = agent } }

// WithInsecure lets every registry be spoken to without TLS. Loopback and
// private addresses are so already.
func WithInsecure() Option { return func(r *Registry) { r.insecure = true } }

func withPageSize(n int) Option { return func(r *Registry) { r.pageSize = n } }

// New returns a Registry. It connects to nothing yet.
func New(options ...Option) *Registry {
	r := &Registry{
		keychain:  authn.DefaultKeychain,
		userAgent: "inhaul",
		pageSize:  defaultPageSize,
		transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   8,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: responseTimeout,
		},
	}
	for _, option := range options {
		option(r)
	}
	r.transport = capped{r.transport}
	return r
}

func (r *Registry) options() []remote.Option {
	return []remote.Option{
		remote.WithAuthFromKeychain(r.keychain),
		remote.WithTransport(r.transport),
		remote.WithUserAgent(r.userAgent),
		remote.WithPageSize(r.pageSize),
	}
}

// repository reads text as a repository with its registry: "acme/app" alone
// would quietly mean Docker Hub.
func (r *Registry) repository(text string) (name.Repository, error) {
	host, _, found := strings.Cut(text, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return name.Repository{}, fmt.Errorf("repository %q: want it with its registry, such as registry.example.com/team/app", text)
	}
	var options []name.Option
	if r.insecure {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(text, options...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("repository %q: %w", text, err)
	}
	return repository, nil
}

// read calls f with a puller that is logged in already if possible. A login
// that is refused may just be old (ECR's last 12 hours), so it is made anew
// once; a new one that is refused is an error.
func (r *Registry) read(ctx context.Context, f func(context.Context, *remote.Puller) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	puller, used, err := r.login(nil)
	if err != nil {
		return err
	}
	if err = f(ctx, puller); !used || !refused(err) {
		return err
	}
	if puller, _, err = r.login(puller); err != nil {
		return err
	}
	return f(ctx, puller)
}

// login returns the kept puller unless it is old, and whether it was kept.
func (r *Registry) login(old *remote.Puller) (puller *remote.Puller, used bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.puller != nil && r.puller != old {
		return r.puller, true, nil
	}
	if r.puller, err = remote.NewPuller(r.options()...); err != nil {
		return nil, false, fmt.Errorf("preparing to read registries: %w", err)
	}
	return r.puller, false, nil
}
