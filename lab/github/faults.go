package github

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxLoggedRequests bounds the log; the oldest go first.
const maxLoggedRequests = 20_000

// fault is what the next matching API requests get instead of, or before, their answer.
type fault struct {
	// Status of the answer; 0 with Drop unset only delays.
	Status int `json:"status"`
	// RetryAfter becomes the Retry-After header, for example "2s".
	RetryAfter string `json:"retryAfter"`
	// Headers are sent as they are, for example X-RateLimit-Remaining.
	Headers map[string]string `json:"headers"`
	// Body is sent as it is; empty: an error in GitHub's shape.
	Body string `json:"body"`
	// Delay comes before anything else, for example "100ms".
	Delay string `json:"delay"`
	// Count is how many requests are hit; 0 means 1, negative all.
	Count int `json:"count"`
	// Path and Method select requests: part of the path, and the exact method; empty matches all.
	Path   string `json:"path"`
	Method string `json:"method"`
	// Drop cuts the connection instead of answering.
	Drop bool `json:"drop"`
	// After lets the request have its effect first: only its answer is lost.
	After bool `json:"after"`

	delay, retryAfter time.Duration
}

func (s *Server) addFault(w http.ResponseWriter, r *http.Request) {
	f := &fault{}
	err := readJSON(r, f)
	for text, into := range map[*string]*time.Duration{&f.Delay: &f.delay, &f.RetryAfter: &f.retryAfter} {
		if err == nil && *text != "" {
			*into, err = time.ParseDuration(*text)
		}
	}
	if err == nil && f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		err = fmt.Errorf("status %d: want 200 to 599", f.Status)
	}
	if err != nil {
		s.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if f.Body != "" && f.Status == 0 {
		f.Status = http.StatusOK
	}
	if f.Count == 0 {
		f.Count = 1
	}
	s.mu.Lock()
	s.faults = append(s.faults, f)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// clearFaults ends all faults; path=P, those that were made with that path.
func (s *Server) clearFaults(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Query().Get("path")
	s.mu.Lock()
	s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool { return path == "" || f.Path == path })
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// nextFault uses up one count of the first fault that matches.
func (s *Server) nextFault(r *http.Request) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Count == 0 || !strings.Contains(r.URL.Path, f.Path) || (f.Method != "" && f.Method != r.Method) {
			continue
		}
		if f.Count > 0 {
			f.Count--
		}
		return f
	}
	return nil
}

func (f *fault) replaces() bool { return f.Status != 0 || f.Drop }

func (f *fault) wait(ctx context.Context) error {
	select {
	case <-time.After(f.delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fault) answer(w http.ResponseWriter) {
	if f.Drop {
		panic(http.ErrAbortHandler) // net/http cuts the connection and logs nothing
	}
	for name, value := range f.Headers {
		w.Header().Set(name, value)
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", seconds(f.retryAfter))
	}
	body := []byte(f.Body)
	if f.Body == "" {
		_, _, body = encoded(fail(f.Status, faultMessage(f.Status)))
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(f.Status)
	_, _ = w.Write(body) // a client that went away misses nothing
}

func faultMessage(status int) string {
	if status == http.StatusForbidden || status == http.StatusTooManyRequests {
		return "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
	}
	return "Server Error"
}

// loggedRequest is one request to the API.
type loggedRequest struct {
	ID          int           `json:"id"`
	At          time.Time     `json:"at"`
	Method      string        `json:"method"`
	Path        string        `json:"path"`
	Query       string        `json:"query,omitempty"`
	Conditional bool          `json:"conditional,omitempty"`
	Status      int           `json:"status"` // what was done; 0 while it is under way
	Took        time.Duration `json:"tookNanoseconds"`
}

func (s *Server) logRequest(r *http.Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := 1
	if n := len(s.requests); n > 0 {
		id = s.requests[n-1].ID + 1
	}
	s.requests = append(s.requests, loggedRequest{
		ID: id, At: s.now().UTC(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		Conditional: r.Header.Get("If-None-Match") != "",
	})
	if len(s.requests) > maxLoggedRequests {
		s.requests = append([]loggedRequest(nil), s.requests[maxLoggedRequests/10:]...)
	}
	return id
}

func (s *Server) logStatus(id, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := id - s.requests[0].ID; i >= 0 && i < len(s.requests) {
		s.requests[i].Status = status
		s.requests[i].Took = s.now().Sub(s.requests[i].At)
	}
}

func (s *Server) listRequests(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	list := append([]loggedRequest{}, s.requests...)
	s.mu.Unlock()
	s.writeJSON(w, http.StatusOK, list)
}
