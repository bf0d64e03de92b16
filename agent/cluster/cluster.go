// Package cluster is the agent's hand in Kubernetes: it stores releases and
// reads Apps (api/v1alpha1), applies what package render makes, and shows what
// the pods do. It is the only package that uses client-go.
//
// Start with New, run Client.Start, and wait for Client.WaitSynced. Reads come
// from informers that keep only what is needed (see trim); a write of this
// process is visible to its own reads at once (see overlay).
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/inhaul/inhaul/agent"
)

var (
	_ agent.Releases      = (*Client)(nil)
	_ agent.ReleaseReader = (*Client)(nil)
	_ agent.Apps          = (*Client)(nil)
	_ agent.Planner       = (*Client)(nil)
	_ agent.Cluster       = (*Client)(nil)
	_ agent.Cleaner       = (*Client)(nil)
	_ agent.Tasks         = (*Client)(nil)
	_ agent.Witness       = (*Client)(nil)
	_ agent.Drifts        = (*Client)(nil)
)

// requestTimeout bounds one request to the API server; watches excepted.
const requestTimeout = 15 * time.Second

// Options say how a Client works. Namespace is needed, the rest has defaults.
type Options struct {
	Namespace string           // the agent's own: Apps and the Lease live there
	Logger    *slog.Logger     // default: discards
	Now       func() time.Time // default: time.Now
	Lease     LeaseTimes
	// Secrets read references, by scheme. Those of k8s:// and generate:// need no
	// reader.
	Secrets map[string]SecretReader
}

// Client is a connection to one cluster. Its methods may be called
// concurrently.
type Client struct {
	namespace string
	log       *slog.Logger
	now       func() time.Time
	lease     LeaseTimes

	clients   clients
	resources []resource
	secrets   map[string]SecretReader              // by scheme
	informers map[string]cache.SharedIndexInformer // by kind
	releases  *overlay
	apps      *overlay
	rollbacks *overlay
	previews  *overlay
	changes   *changes
	bells     *bells
	events    *recorder
	ledger    ledger
	looks     chan struct{} // a token for every line that is compared with what it should be
	extended  chan struct{} // a token when the cluster was asked what it has

	mu         sync.Mutex
	ensured    map[string]string                    // namespace to the line that it is labelled for
	pruned     map[string]bool                      // UIDs of objects that this process deleted and the cache may still show
	glances    map[string]cache.SharedIndexInformer // by kind, of metadata; see glance
	extensions extensions                           // as of the last time that the API server was asked
}

// New connects to the cluster of config. It fails if the API server does not
// answer or does not know the custom resources.
func New(ctx context.Context, config *rest.Config, options Options) (*Client, error) {
	if options.Namespace == "" {
		return nil, errors.New("connecting to the cluster: no namespace for the agent given")
	}
	connections, err := connect(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	if err := connections.check(ctx); err != nil {
		return nil, err
	}
	c := &Client{
		namespace: options.Namespace,
		log:       options.Logger,
		now:       options.Now,
		lease: LeaseTimes{
			Duration: cmp.Or(options.Lease.Duration, defaultLeaseDuration),
			Renew:    cmp.Or(options.Lease.Renew, defaultLeaseRenew),
			Retry:    cmp.Or(options.Lease.Retry, defaultLeaseRetry),
		},
		clients:   connections,
		resources: connections.resources(),
		secrets:   options.Secrets,
		changes:   newChanges(),
		bells:     &bells{},
		looks:     make(chan struct{}, looksAtOnce),
		extended:  make(chan struct{}, 1),
		glances:   map[string]cache.SharedIndexInformer{},
		ensured:   map[string]string{},
		pruned:    map[string]bool{},
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now //nolint:forbidigo // because this is where the documented default is set
	}
	connections.fence.now, connections.fence.patience = c.now, c.lease.Renew
	c.releases, c.apps, c.rollbacks, c.previews = newOverlay(c.now), newOverlay(c.now), newOverlay(c.now), newOverlay(c.now)
	c.events = newRecorder(connections.core, c.log)
	if _, err := c.discover(ctx); err != nil {
		return nil, err
	}
	if err := c.watch(); err != nil {
		return nil, fmt.Errorf("preparing informers: %w", err)
	}
	return c, nil
}

// Start fills the caches and keeps them fresh. It returns when ctx ends and
// everything it started has ended; the channel of Changed is closed then.
func (c *Client) Start(ctx context.Context) error {
	ctx = logr.NewContextWithSlogLogger(ctx, c.log) // for client-go's own words
	var group errgroup.Group
	for _, informer := range c.informers {
		group.Go(func() error {
			informer.RunWithContext(ctx)
			return nil
		})
	}
	group.Go(func() error {
		c.changes.deliver(ctx)
		return nil
	})
	group.Go(func() error {
		c.glance(ctx)
		return nil
	})
	group.Go(func() error {
		c.events.run(ctx)
		return nil
	})
	return group.Wait()
}

// WaitSynced returns when every cache has been filled.
func (c *Client) WaitSynced(ctx context.Context) error {
	var synced []cache.InformerSynced
	for _, informer := range c.informers {
		synced = append(synced, informer.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return fmt.Errorf("filling caches: %w", context.Cause(ctx))
	}
	return nil
}

// bounded gives one request its time.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, requestTimeout)
}
