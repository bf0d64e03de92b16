//go:build chaos

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"k8s.io/client-go/rest"
)

// The files of a chaos test, in the folder INHAUL_CHAOS_DIR. They are read anew
// at every call, so that the test may change them at any time.
const (
	// killFile holds "ID POINT N": at the N-th time that this process comes to the
	// point, it kills itself with SIGKILL. A point is a method of a port, or "Write"
	// for any request that changes something in the cluster, with ":before" or
	// ":after". Whoever dies removes the file first, so that it hits once. A new ID
	// starts the count anew.
	killFile = "kill"
	// skewFile holds a duration: how far the clock is wrong.
	skewFile = "skew"
	// writesFile, with the process ID behind it, gets a line for every request that
	// was to change something in the cluster: when it was sent, when it was answered,
	// the status, the method and the path.
	writesFile = "writes"
)

// chaos kills this process at named points and makes its clock wrong.
type chaos struct {
	dir    string
	writes *os.File

	mu     sync.Mutex
	armed  string // content of killFile that came counts
	passed int
}

// newChaos does nothing without INHAUL_CHAOS_DIR.
func newChaos() *chaos {
	c := &chaos{dir: os.Getenv("INHAUL_CHAOS_DIR")}
	if c.dir == "" {
		return c
	}
	var err error
	name := fmt.Sprintf("%s.%d", filepath.Join(c.dir, writesFile), os.Getpid())
	if c.writes, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil { //nolint:gosec // because the test names its own folder
		panic(err) // a test that cannot see what it asked for proves nothing
	}
	return c
}

// now is the clock of the machine, wrong by what skewFile says, to the second. Its
// monotonic part goes on, as it does when somebody sets a machine's clock.
func (c *chaos) now() time.Time {
	now := time.Now()
	if skew, err := time.ParseDuration(strings.TrimSpace(c.read(skewFile))); err == nil {
		// A time with a monotonic part has its seconds above 30 bits of nanoseconds;
		// nothing in package time changes them alone. See its type Time.
		wall := (*uint64)(unsafe.Pointer(&now))        //nolint:gosec // because this is how to set a clock for one process
		*wall += uint64(int64(skew/time.Second) << 30) //nolint:gosec // because a negative one wraps around to what it has to be
	}
	return now
}

// pass is called at every point, and does not return if it is the one.
func (c *chaos) pass(point string) {
	armed := c.read(killFile)
	var id, where string
	var n int
	if _, err := fmt.Sscanf(armed, "%s %s %d", &id, &where, &n); err != nil || where != point {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed != armed {
		c.armed, c.passed = armed, 0
	}
	if c.passed++; c.passed < n || os.Remove(filepath.Join(c.dir, killFile)) != nil {
		return // not yet, or the other agent was first
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing more happens, however long the kernel takes
}

func (c *chaos) read(name string) string {
	if c.dir == "" {
		return ""
	}
	content, err := os.ReadFile(filepath.Join(c.dir, name)) //nolint:gosec // because the test names its own folder
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		panic(err)
	}
	return string(content)
}

// onto lets every request that changes something in the cluster come to a point
// before it is sent and after it was answered.
func (c *chaos) onto(config *rest.Config) *rest.Config {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &tripping{c, next} })
	return config
}

// tripping counts writes.
type tripping struct {
	*chaos
	next http.RoundTripper
}

// RoundTrip leaves alone what only reads, dry runs among it, and what says
// nothing of the work: the Lease and events.
func (t *tripping) RoundTrip(request *http.Request) (*http.Response, error) {
	query := request.URL.Query()
	if request.Method == http.MethodGet || query.Has("dryRun") || strings.HasSuffix(request.URL.Path, "/events") || strings.Contains(request.URL.Path, "/leases") {
		return t.next.RoundTrip(request)
	}
	t.pass("Write:before")
	sent := time.Now()
	response, err := t.next.RoundTrip(request)
	status := 0 // no answer
	if err == nil {
		status = response.StatusCode
	}
	if t.writes != nil {
		if _, err := fmt.Fprintf(t.writes, "%d %d %d %s %s\n", sent.UnixMilli(), time.Now().UnixMilli(), status, request.Method, request.URL.Path); err != nil {
			panic(err)
		}
	}
	t.pass("Write:after")
	return response, err
}
