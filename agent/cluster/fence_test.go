package cluster

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
)

// next counts what gets through.
type next int

func (n *next) RoundTrip(*http.Request) (*http.Response, error) {
	*n++
	return &http.Response{Body: http.NoBody}, nil
}

func TestTheFenceLetsOnlyALeaderWrite(t *testing.T) {
	t.Parallel()
	began := time.Now()
	later := func(d time.Duration) time.Time { return began.Add(d) }
	for _, test := range []struct {
		name        string
		raised      bool
		renewed     time.Time
		now         time.Time
		method, url string
		through     bool
	}{
		{"before any election", false, time.Time{}, began, "PATCH", "/apis/apps/v1/x", true},
		{"before it leads", true, time.Time{}, began, "PATCH", "/apis/apps/v1/x", false},
		{"while it leads", true, began, later(9 * time.Second), "PATCH", "/apis/apps/v1/x", true},
		{"once the lease may be lost", true, began, later(10 * time.Second), "PATCH", "/apis/apps/v1/x", false},
		{"a new object too", true, began, later(time.Hour), "POST", "/api/v1/namespaces/x/secrets", false},
		{"a deletion too", true, began, later(time.Hour), "DELETE", "/apis/inhaul.dev/v1alpha1/x", false},
		{"a status too", true, began, later(time.Hour), "PUT", "/apis/inhaul.dev/v1alpha1/x/status", false},
		{"reading", true, began, later(time.Hour), "GET", "/apis/apps/v1/x", true},
		{"the lease itself", true, began, later(time.Hour), "PUT", "/apis/coordination.k8s.io/v1/x", true},
		{"after a night's sleep of the machine", true, began.Round(0), later(time.Hour).Round(0), "PATCH", "/apis/apps/v1/x", false},
	} {
		f := &fence{patience: 10 * time.Second, now: func() time.Time { return test.now }}
		if test.raised {
			f.raise()
		}
		f.hold(test.renewed)
		var sent next
		request, err := http.NewRequestWithContext(t.Context(), test.method, "https://cluster"+test.url, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := f.behind(&sent).RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		if (sent == 1) != test.through || errors.Is(err, ErrLeaseLost) == test.through {
			t.Errorf("%s: got %d requests, %v; want it through: %t", test.name, sent, err, test.through)
		}
	}
}

// TestALeaderThatWakesUpTooLateWritesNothing is about an agent that was paused for
// longer than its lease: its context has not ended yet, and another one leads.
func TestALeaderThatWakesUpTooLateWritesNothing(t *testing.T) {
	t.Parallel()
	first := integration(t)
	config, log := testConfig(t)
	second := start(t, config, log, first.namespace)
	r, err := first.CreateRelease(t.Context(), first.release(1))
	if err != nil {
		t.Fatal(err)
	}
	paused := make(chan struct{})
	leads := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- first.Lead(t.Context(), "first", func(context.Context) { // which it does not look at: it sleeps
			close(leads)
			<-paused
			first.requests.take()
			for name, write := range map[string]func(context.Context) error{
				"apply":  func(ctx context.Context) error { _, err := first.Apply(ctx, r); return err },
				"status": func(ctx context.Context) error { _, err := first.UpdateRelease(ctx, r); return err },
				"trim":   func(ctx context.Context) error { return first.Trim(ctx, r) },
				"create": func(ctx context.Context) error { _, err := first.CreateRelease(ctx, first.release(2)); return err },
			} {
				if err := write(context.WithoutCancel(t.Context())); !errors.Is(err, ErrLeaseLost) {
					t.Errorf("%s: got %v, want ErrLeaseLost", name, err)
				}
			}
			if sent := writes(first.requests.take()); len(sent) != 0 {
				t.Errorf("written: %v", sent)
			}
		})
	}()
	<-leads
	if err := first.Leads(); err != nil {
		t.Errorf("the first leads: got %v", err)
	}
	first.requests.freeze(true) // its renewals stay away from now on
	secondCtx, stop := context.WithCancel(t.Context())
	err = second.Lead(secondCtx, "second", func(ctx context.Context) {
		first.requests.freeze(false)
		close(paused)
		if err := <-ended; !errors.Is(err, ErrLeaseLost) {
			t.Errorf("the first ended with %v, want ErrLeaseLost", err)
		}
		if _, err := second.Apply(ctx, r); err != nil {
			t.Errorf("the second: %v", err)
		}
		stop()
	})
	if err != nil {
		t.Error(err)
	}
}

// TestALeaseOfSomebodyElseIsNotGivenBack is about a leader that is told to end when
// it has just been overtaken, and has not seen it.
func TestALeaseOfSomebodyElseIsNotGivenBack(t *testing.T) {
	t.Parallel()
	f := integration(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	_ = f.Lead(ctx, "first", func(context.Context) {
		time.Sleep(f.lease.Retry / 4) // the first renewal is done, the next one is not
		_, err := f.admin.leases.Leases(f.namespace).Patch(t.Context(), leaseName, types.MergePatchType, []byte(`{"spec":{"holderIdentity":"second"}}`), metav1.PatchOptions{})
		if err != nil {
			t.Error(err)
		}
		stop()
	})
	lease, err := f.admin.leases.Leases(f.namespace).Get(t.Context(), leaseName, metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != "second" {
		t.Errorf("got %+v, %v; want the second to hold it", lease.Spec.HolderIdentity, err)
	}
}

// TestAStaleTrimDeletesNothing is about a release that somebody else wrote since
// it was read.
func TestAStaleTrimDeletesNothing(t *testing.T) {
	t.Parallel()
	f := integration(t)
	old, err := f.CreateRelease(t.Context(), f.release(1))
	if err != nil {
		t.Fatal(err)
	}
	moved := old
	moved.Status.Phase = agent.Applying
	moved, err = f.UpdateRelease(t.Context(), moved)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Trim(t.Context(), old); !errors.Is(err, agent.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if err := f.Trim(t.Context(), moved); err != nil {
		t.Errorf("got %v for the newest version", err)
	}
}
