package cluster

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// slowLease is a Lease in memory that does not answer while it is stuck.
type slowLease struct {
	mu     sync.Mutex
	record *resourcelock.LeaderElectionRecord
	stuck  bool
}

func (l *slowLease) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stuck:
		return nil, nil, errors.New("no answer")
	case l.record == nil:
		return nil, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, leaseName)
	}
	return l.record, []byte(l.record.HolderIdentity), nil
}

func (l *slowLease) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.Update(ctx, r)
}

func (l *slowLease) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stuck {
		return errors.New("no answer")
	}
	l.record = &r
	return nil
}

func (l *slowLease) RecordEvent(string) {}
func (l *slowLease) Identity() string   { return "me" }
func (l *slowLease) Describe() string   { return leaseName }
func (l *slowLease) set(stuck bool)     { l.mu.Lock(); defer l.mu.Unlock(); l.stuck = stuck }

func TestAFenceOpensForWhoLeadsForSureAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lease := &slowLease{}
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lease, LeaseDuration: defaultLeaseDuration, RenewDeadline: defaultLeaseDuration - time.Second, RetryPeriod: defaultLeaseRetry,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) {}, OnStoppedLeading: func() {}},
		})
		if err != nil {
			t.Fatal(err)
		}
		sent := 0
		f := &fence{margin: defaultLeaseDuration - defaultLeaseRenew}
		client := f.around(roundTrip(func(*http.Request) (*http.Response, error) { sent++; return &http.Response{Body: http.NoBody}, nil }))
		try := func(method, path string) error {
			response, err := client.RoundTrip(httptest.NewRequest(method, path, http.NoBody))
			if err == nil {
				err = response.Body.Close()
			}
			return err
		}
		if err := try(http.MethodPut, "/api/v1/x"); err != nil {
			t.Errorf("nobody asked to lead: got %v, want the request to be sent", err)
		}
		f.elector.Store(elector)
		if err := try(http.MethodPut, "/api/v1/x"); !errors.Is(err, ErrLeaseLost) {
			t.Errorf("not elected yet: got %v, want %v", err, ErrLeaseLost)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); elector.Run(ctx) }()
		time.Sleep(time.Minute)
		if err := try(http.MethodPatch, "/api/v1/x"); err != nil {
			t.Errorf("leading: got %v, want the request to be sent", err)
		}
		lease.set(true)
		time.Sleep(defaultLeaseRenew - 2*defaultLeaseRetry)
		if err := try(http.MethodPost, "/api/v1/x"); err != nil {
			t.Errorf("leading for some seconds more: got %v, want the request to be sent", err)
		}
		time.Sleep(2*defaultLeaseRetry + time.Millisecond)
		before := sent
		if err := try(http.MethodDelete, "/api/v1/x"); !errors.Is(err, ErrLeaseLost) || sent != before {
			t.Errorf("not renewed for %s: got %v, want %v and nothing sent", defaultLeaseRenew, err, ErrLeaseLost)
		}
		for _, free := range [][2]string{{http.MethodGet, "/api/v1/x"}, {http.MethodPut, "/apis/coordination.k8s.io/v1/namespaces/inhaul/leases/x"}} {
			if err := try(free[0], free[1]); err != nil {
				t.Errorf("%s %s: got %v, want it to be sent at any time", free[0], free[1], err)
			}
		}
		lease.set(false)
		time.Sleep(defaultLeaseRetry)
		if err := try(http.MethodPut, "/api/v1/x"); err != nil {
			t.Errorf("renewed again: got %v, want the request to be sent", err)
		}
		cancel()
		<-done
	})
}

// roundTrip is a function as a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
