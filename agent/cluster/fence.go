package cluster

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// fence lets a process that takes part in an election write only while it is sure
// to lead. The context of Lead ends with the lease too, but a process that was
// paused wakes up in the middle of whatever it did: it may send one more write
// before anybody has told it the time. The fence asks for the time with every
// write, in the last moment before it is sent.
//
// Server-side apply needs that most. It carries no version of what it was decided
// from, and forces its fields.
type fence struct {
	patience time.Duration // after the last renewal was asked for; less than the lease lasts
	now      func() time.Time

	mu      sync.Mutex
	raised  bool      // by Lead: before, and without it, everything may be written
	renewed time.Time // when the last renewal was asked for; zero while somebody else leads, or nobody
}

// raise lets no write through from now on, but those of a leader.
func (f *fence) raise() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.raised = true
}

// hold notes a renewal that was asked for at the given time and has come true;
// the zero time gives the lead up.
func (f *fence) hold(asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.renewed = asked
}

// check is ErrLeaseLost if nothing may be written now. The clock that does not
// jump stands still while a machine is suspended, the one that people set does
// not: the later of the two counts.
func (f *fence) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	elapsed := max(now.Sub(f.renewed), now.Round(0).Sub(f.renewed.Round(0)))
	if f.raised && (f.renewed.IsZero() || elapsed >= f.patience) {
		return ErrLeaseLost
	}
	return nil
}

// Leads is nil while this process may write, and ErrLeaseLost once another one may
// lead.
func (c *Client) Leads() error { return c.clients.fence.check() }

// behind is next behind the fence.
func (f *fence) behind(next http.RoundTripper) http.RoundTripper { return fenced{f, next} }

type fenced struct {
	fence *fence
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t fenced) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet || strings.HasPrefix(request.URL.Path, "/apis/coordination.k8s.io/") {
		return t.next.RoundTrip(request)
	}
	if err := t.fence.check(); err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // because a RoundTripper has to
		}
		return nil, err
	}
	return t.next.RoundTrip(request)
}

// fencedLock is the Lease, whose renewals the fence goes by.
type fencedLock struct {
	*resourcelock.LeaseLock
	fence  *fence
	holder string // of the Lease as it was read last; only the elector calls
}

// Get implements resourcelock.Interface.
func (l *fencedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.LeaseLock.Get(ctx)
	if err == nil {
		l.holder = record.HolderIdentity
	}
	return record, raw, err
}

// Create implements resourcelock.Interface.
func (l *fencedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.renew(record, func() error { return l.LeaseLock.Create(ctx, record) })
}

// Update implements resourcelock.Interface.
func (l *fencedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.renew(record, func() error { return l.LeaseLock.Update(ctx, record) })
}

// renew lets others lead only after this process has stopped to write. Others
// count from when they see the renewal, which is after it was asked for. An
// elector that was paused would give back what it takes for its own: the lease of
// whoever leads by now.
func (l *fencedLock) renew(record resourcelock.LeaderElectionRecord, write func() error) error {
	if record.HolderIdentity != l.Identity() {
		l.fence.hold(time.Time{})
		if l.holder != l.Identity() {
			return ErrLeaseLost
		}
		return write()
	}
	asked := l.fence.now()
	err := write()
	if err == nil {
		l.fence.hold(asked)
	}
	return err
}

// whenFenced calls stop as soon as nothing may be written any more: an elector that
// was paused tries for another renewal deadline before it says so. The result ends
// the watch, and returns when it has ended.
func (c *Client) whenFenced(ctx context.Context, stop func()) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(c.lease.Retry / 2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if c.Leads() != nil {
					stop()
					return
				}
			}
		}
	}()
	return func() { cancel(); <-ended }
}
