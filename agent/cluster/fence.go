package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/leaderelection"
)

// fence keeps a process that may have lost the lease from changing anything. A
// context that ends with the lease is not enough: a process that was paused past
// its lease, or starved, goes on in the middle of what it did before anybody has
// told it. So the lease is looked at anew before each request is sent.
//
// What is sent within the lease's time may still arrive after it. The difference
// between Duration and Renew of LeaseTimes is for that.
type fence struct {
	elector atomic.Pointer[leaderelection.LeaderElector]
	margin  time.Duration // before the lease has run out for others
}

// open is nil while this process leads for sure, and before it has asked to lead.
func (f *fence) open() error {
	elector := f.elector.Load()
	if elector == nil {
		return nil
	}
	if !elector.IsLeader() || elector.Check(-f.margin) != nil {
		return ErrLeaseLost
	}
	return nil
}

// Fenced lets only those requests through to next that change nothing, once Lead
// was called and while this process does not lead for sure; the others fail with
// ErrLeaseLost. Use it for whatever only the leader may change.
func (c *Client) Fenced(next http.RoundTripper) http.RoundTripper { return c.fence.around(next) }

func (f *fence) around(next http.RoundTripper) http.RoundTripper { return &fenced{f, next} }

type fenced struct {
	*fence
	next http.RoundTripper
}

// RoundTrip lets the election itself through.
func (f *fenced) RoundTrip(request *http.Request) (*http.Response, error) {
	election := strings.HasPrefix(request.URL.Path, "/apis/coordination.k8s.io/")
	if request.Method != http.MethodGet && !election {
		if err := f.open(); err != nil {
			if request.Body != nil {
				_ = request.Body.Close() // a RoundTripper has to; nothing was read
			}
			return nil, fmt.Errorf("%s %s: not sent: %w", request.Method, request.URL.Path, err)
		}
	}
	return f.next.RoundTrip(request)
}
