package cluster

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// glanceRetry is when a kind is tried again that the agent may not watch, or that
// the cluster does not have any more.
const glanceRetry = 10 * time.Minute

// glance keeps, of every kind that releases have objects of and of which no cache
// is kept, which objects there are and their marks: that is enough to see that
// somebody has touched one. The API server sends their metadata alone, so of a
// Secret nothing but its name is ever here. It returns when ctx ends.
func (c *Client) glance(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	begun := map[string]bool{}
	for {
		for _, r := range c.resources {
			if r.keep == "" && !begun[r.kind] && c.has(r.kind) {
				begun[r.kind] = true
				group.Go(func() { c.glanceKind(ctx, r) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-c.extended: // the cluster has more kinds than at the last look
		}
	}
}

// has reports whether the cluster had the kind when it was asked last.
func (c *Client) has(kind string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case "HTTPRoute":
		return c.extensions.gateway
	case "ScaledObject", "TriggerAuthentication":
		return c.extensions.keda
	}
	return true
}

func (c *Client) glanceKind(ctx context.Context, r resource) {
	for ctx.Err() == nil {
		if err := c.glanceOnce(ctx, r); err != nil {
			c.log.Info("not watched for drift", "kind", r.kind, "error", err, "duration", glanceRetry)
		}
		select {
		case <-ctx.Done():
		case <-time.After(glanceRetry):
		}
	}
}

// glanceOnce watches until ctx ends (nil), or until the API server says that it
// must not be.
func (c *Client) glanceOnce(ctx context.Context, r resource) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	informer := c.glancer(r)
	if err := informer.SetTransform(trimGlance); err != nil {
		return err
	}
	err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			cancel(err)
			return
		}
		c.log.Warn("watching failed, trying again", "kind", r.kind, "error", err)
	})
	if err != nil {
		return err
	}
	if _, err := informer.AddEventHandler(c.noteTouches(r.kind)); err != nil {
		return err
	}
	c.setGlance(r.kind, informer)
	defer c.setGlance(r.kind, nil)
	var group sync.WaitGroup
	group.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			c.noteTouched(r.kind)
		}
	})
	informer.RunWithContext(ctx)
	group.Wait()
	if cause := context.Cause(ctx); apierrors.IsForbidden(cause) || apierrors.IsNotFound(cause) {
		return cause
	}
	return nil
}

// glancer is an informer of the metadata of what Inhaul made of a kind.
func (c *Client) glancer(r resource) cache.SharedIndexInformer {
	all := c.clients.metadata.Resource(r.client.APIVersion().WithResource(r.plural))
	list := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = ours
			return all.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = ours
			return all.Watch(ctx, options)
		},
	}
	return cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(list, c.clients.metadata),
		&metav1.PartialObjectMetadata{}, 0, cache.Indexers{})
}

// trimGlance keeps of an object's metadata what identifies it, whose it is, and
// its mark.
func trimGlance(o any) (any, error) {
	full, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return o, nil // the last state known of a deleted one: trimmed before
	}
	keepMark(full)
	trimmed := &metav1.PartialObjectMetadata{ObjectMeta: trimMeta(full.ObjectMeta)}
	trimmed.OwnerReferences, trimmed.ManagedFields, trimmed.Generation = nil, full.ManagedFields, full.Generation
	trimmed.Labels = map[string]string{render.LabelManagedBy: full.Labels[render.LabelManagedBy], render.LabelApp: full.Labels[render.LabelApp]}
	return trimmed, nil
}

func (c *Client) setGlance(kind string, informer cache.SharedIndexInformer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if informer == nil {
		delete(c.glances, kind)
	} else {
		c.glances[kind] = informer
	}
}

// glanceAt returns what a cache has of an object, at least its metadata; nil if
// nothing. It is not watched while there is no full cache of its kind.
func (c *Client) glanceAt(o agent.Object) (live object, watched bool) {
	informer := c.informers[o.Kind]
	if informer == nil {
		c.mu.Lock()
		informer = c.glances[o.Kind]
		c.mu.Unlock()
	}
	if informer == nil || !informer.HasSynced() {
		return nil, false
	}
	found, ok, err := informer.GetStore().GetByKey(o.Namespace + "/" + o.Name)
	if err != nil || !ok {
		return nil, true
	}
	return last(found), true
}

// noteTouches wakes the lines whose objects of a kind somebody has touched.
func (c *Client) noteTouches(kind string) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, o any) { c.noteUpdate(kind, last(before), last(o)) },
		DeleteFunc: func(o any) { c.forgetPruned(o); c.noteDelete(kind, last(o)) },
	}
}

func (c *Client) noteUpdate(kind string, before, after object) {
	if _, ok := renderedKind(kind); ok && before != nil && after != nil && markOf(before) != markOf(after) {
		c.noteTouch(after)
	}
}

func (c *Client) noteDelete(kind string, o object) {
	if o == nil {
		return
	}
	if at, ok := objectOf(kind, o); ok {
		c.ledger.vanish(at, o.GetUID())
		c.noteTouch(o)
	}
}

// noteTouched tells Changed of every line that has a touched object of a kind,
// once its cache has been filled.
func (c *Client) noteTouched(kind string) {
	for _, o := range c.informers["Release"].GetStore().List() {
		release, ok := o.(*v1alpha1.Release)
		if !ok || release.Status.Phase != string(agent.Succeeded) {
			continue
		}
		for _, at := range release.Status.Inventory {
			if at.Kind == kind && c.isTouched(referenceOf(at), at.Mark, agent.DriftRevert) {
				c.changes.note(lineOf(release))
				break
			}
		}
	}
}
