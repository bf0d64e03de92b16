package oci

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
)

// host is what httptest's certificate is for; the server's client dials it.
const host = "example.com"

// ecr is a real registry that behaves like ECR in what matters here: Basic
// authentication as AWS, immutable tags, repositories that have to be made
// first, tags in pages with a Link.
type ecr struct {
	registry http.Handler

	mu           sync.Mutex
	token        string
	repositories map[string]bool
	maxPage      int
	requests     []string // method and path
}

// newECR starts a registry with the repositories shop and shop-intents.
func newECR(t *testing.T, options ...Option) (*ecr, *Registry) {
	t.Helper()
	e := &ecr{
		registry: registry.New(registry.Logger(log.New(io.Discard, "", 0))), token: "tok", maxPage: 1000,
		repositories: map[string]bool{"shop": true, "shop-intents": true},
	}
	server := httptest.NewTLSServer(e)
	t.Cleanup(server.Close)
	all := append([]Option{WithKeychain(&keychain{host: host, user: "AWS", password: "tok"}), WithTransport(server.Client().Transport)}, options...)
	return e, New(all...)
}

func (e *ecr) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests = append(e.requests, req.Method+" "+req.URL.Path)
	user, password, ok := req.BasicAuth()
	if !ok || user != "AWS" {
		w.Header().Set("WWW-Authenticate", `Basic realm="https://example.com/",service="ecr.amazonaws.com"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if password != e.token {
		refuse(w, http.StatusUnauthorized, "DENIED", "Your authorization token has expired. arn:aws:iam::123456789012:role/secret")
		return
	}
	parts := strings.Split(strings.TrimPrefix(req.URL.Path, "/v2/"), "/")
	if len(parts) > 2 && !e.repositories[parts[0]] {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "The repository does not exist in the registry with id '123456789012'")
		return
	}
	switch {
	case len(parts) == 3 && parts[1] == "tags":
		e.list(w, req, parts[0])
	case len(parts) == 3 && req.Method == http.MethodPut && parts[1] == "manifests" && e.has(req.URL.Path):
		refuse(w, http.StatusBadRequest, "TAG_INVALID", "The image tag already exists and cannot be overwritten because the repository is immutable.")
	default:
		e.registry.ServeHTTP(w, req)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

// has reports whether the path is there already.
func (e *ecr) has(path string) bool {
	w := httptest.NewRecorder()
	e.registry.ServeHTTP(w, httptest.NewRequest(http.MethodHead, path, nil))
	return w.Code == http.StatusOK
}

// list pages as the specification says, which the registry itself does without
// the Link.
func (e *ecr) list(w http.ResponseWriter, req *http.Request, repository string) {
	recorder := httptest.NewRecorder()
	e.registry.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, req.URL.Path, nil))
	var all struct {
		Tags []string `json:"tags"`
	}
	if recorder.Code == http.StatusOK {
		_ = json.Unmarshal(recorder.Body.Bytes(), &all)
	}
	n, _ := strconv.Atoi(req.URL.Query().Get("n"))
	n = min(n, e.maxPage)
	last := req.URL.Query().Get("last")
	tags := slices.DeleteFunc(all.Tags, func(tag string) bool { return tag <= last })
	if len(tags) > n {
		tags = tags[:n]
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?n=%d&last=%s>; rel="next"`, repository, n, tags[n-1]))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"name": repository, "tags": tags})
}

// put stores a manifest with its content type, past immutability.
//
//nolint:unparam // because the repository makes the calls read well
func (e *ecr) put(repository, tag, mediaType, manifest string) {
	req := httptest.NewRequest(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, strings.NewReader(manifest))
	req.Header.Set("Content-Type", mediaType)
	e.registry.ServeHTTP(httptest.NewRecorder(), req)
}

// sent returns how many requests there were since the last call.
func (e *ecr) sent() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	requests := e.requests
	e.requests = nil
	return requests
}

func (e *ecr) setToken(token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.token = token
}

// keychain knows one registry.
type keychain struct {
	host, user string

	mu       sync.Mutex
	password string
}

func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if target.RegistryStr() != k.host {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: k.user, Password: k.password}), nil
}

func (k *keychain) set(password string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.password = password
}

// handlerTransport answers every request itself.
type handlerTransport struct{ handler http.Handler }

func (h handlerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, req)
	resp := w.Result()
	resp.Request = req
	return resp, nil
}
