package cluster

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// The indexes of the caches.
const (
	indexApp  = "app"  // namespace and app label, of what is deployed and of releases
	indexLine = "line" // app and environment, of releases
)

// watch prepares an informer for every kind of which a cache is kept; Start runs
// them.
func (c *Client) watch() error {
	c.informers = map[string]cache.SharedIndexInformer{}
	byLabel := cache.Indexers{indexApp: func(o any) ([]string, error) { return []string{appKey(o)}, nil }}
	for _, r := range c.resources {
		if r.keep == "" {
			continue
		}
		if err := c.inform(r, metav1.NamespaceAll, byLabel, c.ring(r.kind)); err != nil {
			return err
		}
	}
	releases := resource{"Release", v1alpha1.Releases, c.clients.custom, func() object { return &v1alpha1.Release{} }, ""}
	byLine := cache.Indexers{
		indexLine:            func(o any) ([]string, error) { return []string{lineKey(lineOf(o))}, nil },
		indexApp:             byLabel[indexApp],
		cache.NamespaceIndex: cache.MetaNamespaceIndexFunc,
	}
	if err := c.inform(releases, metav1.NamespaceAll, byLine, c.noteRelease()); err != nil {
		return err
	}
	rollbacks := resource{"Rollback", v1alpha1.Rollbacks, c.clients.custom, func() object { return &v1alpha1.Rollback{} }, ""}
	if err := c.inform(rollbacks, metav1.NamespaceAll, cache.Indexers{}, c.noteRollback()); err != nil {
		return err
	}
	previews := resource{"Preview", v1alpha1.Previews, c.clients.custom, func() object { return &v1alpha1.Preview{} }, ""}
	if err := c.inform(previews, c.namespace, cache.Indexers{}, c.notePreview()); err != nil {
		return err
	}
	apps := resource{"App", v1alpha1.Apps, c.clients.custom, func() object { return &v1alpha1.App{} }, ""}
	return c.inform(apps, c.namespace, cache.Indexers{}, cache.ResourceEventHandlerFuncs{})
}

func (c *Client) inform(r resource, namespace string, indexers cache.Indexers, handler cache.ResourceEventHandler) error {
	list := cache.NewFilteredListWatchFromClient(r.client, r.plural, namespace,
		func(options *metav1.ListOptions) { options.LabelSelector = r.keep })
	informer := cache.NewSharedIndexInformerWithOptions(list, r.empty(), cache.SharedIndexInformerOptions{Indexers: indexers})
	if err := informer.SetTransform(trim); err != nil {
		return err
	}
	err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		c.log.Warn("watching failed, trying again", "kind", r.kind, "error", err)
	})
	if err != nil {
		return err
	}
	if _, err := informer.AddEventHandler(handler); err != nil {
		return err
	}
	c.informers[r.kind] = informer
	return nil
}

// ring wakes the watchers of the app that an object of a kind belongs to, and its
// line if somebody has touched what a release wrote.
func (c *Client) ring(kind string) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.bells.ring(appKey(o)) },
		UpdateFunc: func(before, o any) { c.bells.ring(appKey(o)); c.noteUpdate(kind, last(before), last(o)) },
		DeleteFunc: func(o any) { c.forgetPruned(o); c.bells.ring(appKey(o)); c.noteDelete(kind, last(o)) },
	}
}

// noteRelease tells Changed of the release's line, and forgets with it what no other
// release has.
func (c *Client) noteRelease() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.changes.note(lineOf(o)) },
		UpdateFunc: func(_, o any) { c.changes.note(lineOf(o)) },
		DeleteFunc: func(o any) {
			if gone := last(o); gone != nil {
				c.releases.gone(gone)
				c.forgetLeft(gone.GetNamespace(), inventoryOf(gone))
			}
			c.changes.note(lineOf(o))
		},
	}
}

// last is the object of an event; of a deletion that the watch missed, the last
// state known. It is nil if there is none.
func last(o any) object {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = unknown.Obj
	}
	typed, _ := o.(object)
	return typed
}

// appKey is the value of indexApp.
func appKey(o any) string {
	if typed := last(o); typed != nil {
		return namespacedApp(typed.GetNamespace(), typed.GetLabels()[render.LabelApp])
	}
	return ""
}

func namespacedApp(namespace, label string) string { return namespace + "/" + label }

func lineOf(o any) agent.Line {
	if release, ok := last(o).(*v1alpha1.Release); ok {
		return agent.Line{App: release.Spec.App, Environment: release.Spec.Environment}
	}
	return agent.Line{}
}

func lineKey(line agent.Line) string { return line.App + "/" + line.Environment }

// cached returns what the cache has of an object; nil if nothing.
func (c *Client) cached(kind, namespace, name string) object {
	informer, kept := c.informers[kind]
	if !kept {
		return nil
	}
	o, ok, err := informer.GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !ok {
		return nil
	}
	return last(o)
}

// ofApp returns the cached objects of one kind of an app.
func ofApp[T object](c *Client, kind, namespace, app string) []T {
	found, err := c.informers[kind].GetIndexer().ByIndex(indexApp, namespacedApp(namespace, render.Label(app)))
	if err != nil {
		return nil // the index is there: watch makes it
	}
	all := make([]T, 0, len(found))
	for _, o := range found {
		if typed, ok := o.(T); ok {
			all = append(all, typed)
		}
	}
	return all
}
