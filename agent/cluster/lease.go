package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseName is the Lease that the leading agent holds.
const leaseName = "inhaul-agent"

// The default times of the Lease, those of Kubernetes' own controllers.
const (
	defaultLeaseDuration = 15 * time.Second
	defaultLeaseRenew    = 10 * time.Second
	defaultLeaseRetry    = 2 * time.Second
)

// LeaseTimes say how leadership changes hands. Duration is how long a silent
// leader keeps the others waiting, Renew how long a leader tries before it gives
// up (less than Duration), Retry the pause between tries. Zero means default.
type LeaseTimes struct {
	Duration, Renew, Retry time.Duration
}

// ErrLeaseLost says that another agent leads, or may.
var ErrLeaseLost = errors.New("lost the lease")

// Lead waits until the agent called identity leads, then calls lead with a
// context that ends with its leadership. It returns when lead has returned: nil
// when lead or ctx ended by itself, ErrLeaseLost otherwise. The lease is given
// back only after lead has returned, so that two leaders never overlap. From its
// first call on the Client writes nothing but what a leader does: see fence.
func (c *Client) Lead(ctx context.Context, identity string, lead func(context.Context)) error {
	electing, stopElecting := context.WithCancel(logr.NewContextWithSlogLogger(context.WithoutCancel(ctx), c.log))
	defer stopElecting()
	c.clients.fence.raise()
	started := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &fencedLock{LeaseLock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: c.namespace, Name: leaseName},
			Client:     c.clients.leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
		}, fence: c.clients.fence},
		LeaseDuration: c.lease.Duration, RenewDeadline: c.lease.Renew, RetryPeriod: c.lease.Retry,
		ReleaseOnCancel: true, Name: leaseName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) { started <- leading },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("preparing the lease: %w", err)
	}
	elected := make(chan struct{})
	go func() {
		defer close(elected)
		elector.Run(electing)
	}()
	lost := false
	select {
	case <-ctx.Done():
	case <-elected: // the election itself ended, which only a lost lease does
		lost = true
	case leading := <-started:
		leadCtx, stopLeading := context.WithCancel(ctx)
		stopWatching := context.AfterFunc(leading, stopLeading) //nolint:contextcheck // because the callback takes no context
		unfenced := c.whenFenced(leadCtx, stopLeading)
		lead(leadCtx)
		lost = leading.Err() != nil || c.Leads() != nil
		unfenced()
		stopWatching()
		stopLeading()
	}
	stopElecting()
	<-elected
	if lost && ctx.Err() == nil {
		return ErrLeaseLost
	}
	return nil
}
