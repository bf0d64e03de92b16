// Package github is a stand-in for GitHub: the part of its REST API that Inhaul uses, the OIDC issuer of Actions, the
// page where an App is made from a manifest, and one that shows commits with their check runs and deployments and pull
// requests with their comments. It is not GitHub and says so.
//
// Every request and every answer is checked against GitHub's own OpenAPI description (see [Description]); whatever
// breaks it is refused and listed at /_lab/violations, so that a test can demand an empty list. What it does not
// prove: GitHub's own delays, its unpublished limits, and which commits exist (any 40 hex digits are a commit here).
package github

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// AppID is the id of the one GitHub App that exists here.
	AppID = 4242
	// AppSlug is its name in addresses.
	AppSlug = "inhaul"

	actionsAppID   = 15368 // GitHub's own
	actionsAppSlug = "github-actions"

	maxBodyBytes = 4 << 20
)

// Config says where the stand-in keeps its things. All but Logger and Now are needed.
type Config struct {
	StateFile  string // JSON, written atomically; a restart goes on from it. Empty: nothing is kept
	AppKeyFile string // the App's private key, PEM; made if it does not exist
	BaseURL    string // where clients reach the server, for example http://127.0.0.1:8080
	Spec       []byte // what Description returned
	Logger     *slog.Logger
	Now        func() time.Time
}

// Server is the stand-in. It is safe for concurrent use.
type Server struct {
	base     string
	appKey   *rsa.PrivateKey
	contract *contract
	logger   *slog.Logger
	now      func() time.Time
	mux      *http.ServeMux
	saver    *saver

	mu         sync.Mutex
	state      *state
	violations []Violation
	requests   []loggedRequest
	faults     []*fault
	history    []checkChange
	writes     []written
	manifests  map[string]manifest // of Apps that are not made yet, by code
	limits     limits
	issued     int // installation tokens so far: every second one is of the long form
}

// New returns a server that goes on from the state file, if there is one. Close it to write the last changes.
func New(cfg Config) (*Server, error) {
	base, err := url.Parse(strings.TrimRight(cfg.BaseURL, "/"))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("base address %q: want http://host:port", cfg.BaseURL)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the one default
	}
	s := &Server{base: base.String(), logger: cfg.Logger, now: cfg.Now, limits: newLimits(), manifests: map[string]manifest{}}
	if s.contract, err = newContract(cfg.Spec, base.Path); err != nil {
		return nil, err
	}
	if s.appKey, err = loadAppKey(cfg.AppKeyFile); err != nil {
		return nil, err
	}
	if s.state, err = loadState(cfg.StateFile); err != nil {
		return nil, err
	}
	if s.state.Signing.PEM == "" {
		if err := s.state.rotate(); err != nil {
			return nil, err
		}
	}
	s.mux = s.routes(base.Path)
	s.saver = startSaver(cfg.StateFile, s.encodeState, cfg.Logger)
	s.saver.changed()
	return s, nil
}

// Close writes the state for the last time. The server must not be used afterwards.
func (s *Server) Close() error { return s.saver.close() }

func (s *Server) encodeState() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.state)
}

func (s *Server) routes(prefix string) *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(method, path string, h http.HandlerFunc) { mux.HandleFunc(method+" "+prefix+path, h) }
	handle("GET", "/{$}", s.page)
	handle("GET", "/oidc/.well-known/openid-configuration", s.discovery)
	handle("GET", "/oidc/jwks", s.jwks)
	handle("GET", "/oidc/token", s.idToken)
	for _, path := range []string{"/settings/apps/new", "/organizations/{org}/settings/apps/new"} {
		handle("POST", path, s.newApp)
	}
	handle("POST", "/_lab/runs", s.registerRun)
	handle("POST", "/_lab/pulls", s.changePull)
	handle("POST", "/_lab/tokens", s.makeToken)
	handle("POST", "/_lab/app", s.grant)
	handle("POST", "/_lab/keys/rotate", s.rotateKeys)
	handle("POST", "/_lab/faults", s.addFault)
	handle("DELETE", "/_lab/faults", s.clearFaults)
	handle("POST", "/_lab/limits", s.setLimits)
	handle("GET", "/_lab/requests", s.listRequests)
	handle("GET", "/_lab/check-changes", s.listCheckChanges)
	handle("GET", "/_lab/changes", s.listChanges)
	handle("GET", "/_lab/violations", s.listViolations)
	handle("DELETE", "/_lab/violations", s.clearViolations)
	mux.HandleFunc("/", s.api)
	return mux
}

// ServeHTTP answers GitHub's API, and what only the stand-in has: the page, /oidc and /_lab.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Stand-In", "this is not GitHub")
	s.mux.ServeHTTP(w, r)
}

// readJSON decodes a request of the lab's own endpoints; an empty body leaves into as it is.
func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBodyBytes))
	if err != nil || len(body) == 0 {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decoding the body: %w", err)
	}
	return nil
}

func (s *Server) writeJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		s.logger.Error("answer could not be encoded", "error", err)
		http.Error(w, "encoding the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if _, err := w.Write(append(encoded, '\n')); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		s.logger.Debug("client went away", "error", err)
	}
}

func (s *Server) refuse(w http.ResponseWriter, status int, message string) {
	s.writeJSON(w, status, map[string]string{"message": message})
}
