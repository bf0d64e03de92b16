package registry

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// The admin endpoints, for loopback only and without credentials:
//
//	POST   /_lab/faults        inject a [Fault]      DELETE  forget all faults
//	GET    /_lab/requests      [Registry.Requests]   DELETE  count from zero; ?repository=a/b counts those to one
//	POST   /_lab/repositories  {"name": "a/b"}       create a repository  DELETE  remove it
const adminPrefix = "/_lab/"

// maxAdminBytes caps an admin request: a fault is about a hundred bytes.
const maxAdminBytes = 64 << 10

// Fault makes the next requests that match fail or wait.
type Fault struct {
	Method string        // empty matches all
	Path   string        // part of the URL's path, for example "manifests"; empty matches all
	Status int           // answered instead of the truth; 0 only delays
	Count  int           // how many requests it hits; 0 means all until cleared
	Delay  time.Duration // waited before answering
}

// faultJSON is how a Fault travels: the delay in Go's notation ("200ms").
type faultJSON struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
	Count  int    `json:"count"`
	Delay  string `json:"delay"`
}

// Inject adds a fault; several are tried in the order they came.
func (r *Registry) Inject(f Fault) { r.faults.add(f) }

// ClearFaults forgets every fault.
func (r *Registry) ClearFaults() { r.faults.clear() }

type faults struct {
	mu   sync.Mutex
	list []Fault
}

func (f *faults) add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fault)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
}

// next takes one use of the first fault that matches.
func (f *faults) next(method, path, class string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, x := range f.list {
		if (x.Method != "" && x.Method != method) || (x.Path != "" && x.Path != class && !strings.Contains(path, x.Path)) {
			continue
		}
		switch x.Count {
		case 0: // until cleared
		case 1:
			f.list = append(f.list[:i:i], f.list[i+1:]...)
		default:
			f.list[i].Count--
		}
		return x, true
	}
	return Fault{}, false
}

// hit applies a matching fault and reports whether it answered.
func (f *faults) hit(req *http.Request, class string, w http.ResponseWriter) bool {
	fault, ok := f.next(req.Method, req.URL.Path, class)
	if !ok {
		return false
	}
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-req.Context().Done():
			return true
		}
	}
	if fault.Status == 0 {
		return false
	}
	if fault.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	code, message := words(fault.Status)
	writeError(w, fault.Status, code, message)
	return true
}

// words are what ECR says beside a status. What stands for an account in its
// refusals must never reach a user's log.
func words(status int) (code, message string) {
	switch status {
	case http.StatusTooManyRequests:
		return "TOOMANYREQUESTS", "Rate exceeded"
	case http.StatusForbidden:
		return "DENIED", "User: arn:aws:sts::123456789012:assumed-role/ci/run is not authorized to perform: ecr:PutImage because no identity-based policy allows it"
	case http.StatusMethodNotAllowed:
		return "UNSUPPORTED", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
	}
	return "UNAVAILABLE", "injected fault"
}

func (r *Registry) serveAdmin(w http.ResponseWriter, req *http.Request) {
	if !fromLoopback(req.RemoteAddr) {
		http.Error(w, "admin endpoints answer on loopback only", http.StatusForbidden)
		return
	}
	req.Body = http.MaxBytesReader(w, req.Body, maxAdminBytes)
	switch req.Method + " " + strings.TrimPrefix(req.URL.Path, adminPrefix) {
	case "POST faults":
		r.postFault(w, req)
	case "DELETE faults":
		r.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	case "GET requests":
		writeJSON(w, http.StatusOK, r.Requests(req.URL.Query().Get("repository")))
	case "DELETE requests":
		r.mu.Lock()
		clear(r.requests)
		r.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case "POST repositories":
		named(w, req, http.StatusCreated, r.CreateRepository)
	case "DELETE repositories":
		named(w, req, http.StatusNoContent, r.RemoveRepository)
	default:
		http.NotFound(w, req)
	}
}

// named does something to the repository that the body names.
func named(w http.ResponseWriter, req *http.Request, done int, do func(name string)) {
	var body struct{ Name string }
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil || body.Name == "" {
		http.Error(w, `want {"name": "a/b"}`, http.StatusBadRequest)
		return
	}
	do(body.Name)
	w.WriteHeader(done)
}

func (r *Registry) postFault(w http.ResponseWriter, req *http.Request) {
	var in faultJSON
	decoder := json.NewDecoder(req.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&in)
	fault := Fault{Method: in.Method, Path: in.Path, Status: in.Status, Count: in.Count}
	if err == nil && in.Delay != "" {
		fault.Delay, err = time.ParseDuration(in.Delay)
	}
	if err == nil && fault.Status != 0 && (fault.Status < 400 || fault.Status > 599) {
		err = fmt.Errorf("status: got %d, want 400 to 599", fault.Status)
	}
	if err != nil {
		http.Error(w, "reading the fault: "+err.Error(), http.StatusBadRequest)
		return
	}
	r.Inject(fault)
	w.WriteHeader(http.StatusCreated)
}

func fromLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
