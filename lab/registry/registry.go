// Package registry is an OCI registry that behaves like a private Amazon ECR
// where that matters to a deploy: Basic authentication as user AWS with a
// token that can expire, immutable tags, repositories that must exist, paged
// tag lists with a Link header, and error bodies in ECR's words. Storage and
// the protocol itself are go-containerregistry's.
//
// Start with [New]; the result is an [http.Handler]. Serve it over TLS with a
// certificate of package authority. Faults are injected with [Registry.Inject]
// or over HTTP, see admin.go.
//
// Not imitated: IAM, throttling by account, image scanning, lifecycle rules,
// the 405 that ECR is reported to answer to some OCI 1.1 artifact manifests.
package registry

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// Username is the only user that ECR knows.
const Username = "AWS"

// maxManifestBytes is the largest manifest ECR accepts.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
const maxManifestBytes = 4 << 20

// Config says which of ECR's habits a registry has. The zero value is a
// registry in memory that is open to everyone and whose tags are mutable.
type Config struct {
	// Dir keeps blobs and manifests across restarts; empty keeps them in memory.
	Dir string
	// Token is the password of user AWS; empty lets everyone in.
	Token string
	// Expires is when Token stops being accepted; zero means never.
	Expires time.Time
	// Immutable refuses to move a tag to another digest.
	Immutable bool
	// Mutable names the exclusions from Immutable; nil means [CacheTags].
	Mutable func(repository, tag string) bool
	// MustExist refuses repositories that are not in Repositories and were not
	// created with [Registry.CreateRepository].
	MustExist    bool
	Repositories []string
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Registry is the handler. It may be used concurrently.
type Registry struct {
	config Config
	inner  http.Handler
	faults faults

	mu           sync.Mutex // guards the fields below
	token        string
	expires      time.Time
	repositories map[string]bool
	missing      map[string]bool           // removed with RemoveRepository
	requests     map[string]map[string]int // by repository ("" is all), then by method and class

	putMu   sync.Mutex // orders manifest writes: look, decide, write
	journal *journal
}

var _ http.Handler = (*Registry)(nil)

// CacheTags is the exclusion that build caches need: tags starting with "cache".
func CacheTags(_, tag string) bool { return strings.HasPrefix(tag, "cache") }

// New returns a registry. With a Dir it contains what an earlier one stored there.
func New(c Config) (*Registry, error) {
	if c.Mutable == nil {
		c.Mutable = CacheTags
	}
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the one default
	}
	options := []ggcr.Option{ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true)}
	if c.Dir != "" {
		blobs := filepath.Join(c.Dir, "blobs")
		if err := os.MkdirAll(blobs, 0o755); err != nil {
			return nil, fmt.Errorf("making the blob directory: %w", err)
		}
		options = append(options, ggcr.WithBlobHandler(ggcr.NewDiskBlobHandler(blobs)))
	}
	r := &Registry{
		config:       c,
		inner:        ggcr.New(options...),
		token:        c.Token,
		expires:      c.Expires,
		repositories: map[string]bool{},
		missing:      map[string]bool{},
		requests:     map[string]map[string]int{},
	}
	for _, name := range c.Repositories {
		r.repositories[name] = true
	}
	if c.Dir != "" {
		j, err := openJournal(filepath.Join(c.Dir, "manifests.jsonl"), r.inner)
		if err != nil {
			return nil, err
		}
		r.journal = j
	}
	return r, nil
}

// Close ends writing to Dir. Requests must have ended.
func (r *Registry) Close() error {
	if r.journal == nil {
		return nil
	}
	return r.journal.close()
}

// CreateRepository makes a repository exist; it matters with Config.MustExist
// and after [Registry.RemoveRepository].
func (r *Registry) CreateRepository(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repositories[name] = true
	delete(r.missing, name)
}

// RemoveRepository makes a repository not exist, as ECR's do before somebody
// creates them, whatever Config.MustExist says.
func (r *Registry) RemoveRepository(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.repositories, name)
	r.missing[name] = true
}

// SetToken replaces the token and its expiry. A zero expires means never.
func (r *Registry) SetToken(token string, expires time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token, r.expires = token, expires
}

// Requests returns how many requests came since the start, by method and
// class, for example "PUT manifests" or "GET tags": those to one repository, or
// all with an empty name.
func (r *Registry) Requests(repository string) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := maps.Clone(r.requests[repository])
	if counts == nil {
		return map[string]int{}
	}
	return counts
}

// ServeHTTP answers one request: count, fault, admission, then the protocol.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if strings.HasPrefix(req.URL.Path, adminPrefix) {
		r.serveAdmin(w, req)
		return
	}
	t := parseTarget(req.URL.Path)
	r.count(req.Method+" "+t.class, t.repository)
	if r.faults.hit(req, t.class, w) {
		return
	}
	if !r.admit(w, req) || !r.exists(w, t) {
		return
	}
	switch {
	case t.class == "tags" && req.Method == http.MethodGet:
		r.serveTags(w, req, t.repository)
	case t.class == "manifests" && req.Method == http.MethodPut:
		r.putManifest(w, req, t)
	case t.class == "manifests" && req.Method == http.MethodDelete:
		r.deleteManifest(w, req, t)
	default:
		r.inner.ServeHTTP(w, req)
	}
}

func (r *Registry) count(key, repository string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range slices.Compact([]string{"", repository}) {
		if r.requests[of] == nil {
			r.requests[of] = map[string]int{}
		}
		r.requests[of][key]++
	}
}

// admit checks the Basic credentials the way ECR does.
func (r *Registry) admit(w http.ResponseWriter, req *http.Request) bool {
	r.mu.Lock()
	token, expires := r.token, r.expires
	r.mu.Unlock()
	if token == "" {
		return true
	}
	user, password, given := req.BasicAuth()
	message := "Not Authorized"
	if given && user == Username && password == token {
		if expires.IsZero() || r.config.Now().Before(expires) {
			return true
		}
		message = "Your authorization token has expired. Reauthenticate and try again."
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Basic realm="https://%s/",service="ecr.amazonaws.com"`, req.Host))
	writeError(w, http.StatusUnauthorized, "DENIED", message)
	return false
}

func (r *Registry) exists(w http.ResponseWriter, t target) bool {
	r.mu.Lock()
	known := t.repository == "" || !r.missing[t.repository] && (!r.config.MustExist || r.repositories[t.repository])
	r.mu.Unlock()
	if !known {
		writeError(w, http.StatusNotFound, "NAME_UNKNOWN",
			fmt.Sprintf("The repository with name '%s' does not exist in the registry", t.repository))
	}
	return known
}

// target is what a path of the distribution protocol names.
type target struct {
	class      string // ping, manifests, blobs, uploads, tags, referrers or other
	repository string
	reference  string // the last element: a tag, a digest, an upload
}

func parseTarget(path string) target {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(path, "/"), "/v2")
	if !ok {
		return target{class: "other"}
	}
	if rest == "" {
		return target{class: "ping"}
	}
	e := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	for i := len(e) - 2; i > 0; i-- {
		switch e[i] {
		case "manifests", "tags", "referrers":
			return target{e[i], strings.Join(e[:i], "/"), e[len(e)-1]}
		case "uploads":
			return target{"uploads", strings.Join(e[:i-1], "/"), e[len(e)-1]}
		case "blobs":
			if e[i+1] == "uploads" {
				return target{"uploads", strings.Join(e[:i], "/"), ""}
			}
			return target{"blobs", strings.Join(e[:i], "/"), e[len(e)-1]}
		}
	}
	return target{class: "other"}
}

// writeError answers in the shape of the distribution specification.
func writeError(w http.ResponseWriter, status int, code, message string) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	writeJSON(w, status, map[string][]item{"errors": {{code, message}}})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone; there is no one to tell
}
