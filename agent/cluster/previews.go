package cluster

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

var (
	_ agent.Previews      = (*Client)(nil)
	_ agent.PreviewReader = (*Client)(nil)
	_ agent.Namespaces    = (*Client)(nil)
)

// previewName is the name of the record of a line: no two have the same.
func previewName(line agent.Line) string { return line.App + "-" + line.Environment }

// notePreview tells Changed of the line of every preview that changed.
func (c *Client) notePreview() cache.ResourceEventHandler {
	note := func(o any) {
		if p, ok := last(o).(*v1alpha1.Preview); ok {
			c.changes.note(previewLine(p))
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    note,
		UpdateFunc: func(_, o any) { note(o) },
		DeleteFunc: func(o any) { c.previews.gone(last(o)); note(o) },
	}
}

// previewResources are the records that there are, this process's own writes
// included, in no order. They belong to the cache.
func (c *Client) previewResources() []*v1alpha1.Preview {
	var cached []object
	for _, o := range c.informers["Preview"].GetStore().List() {
		cached = append(cached, last(o))
	}
	return previewsIn(c.previews.merge(cached, func(object) bool { return true }))
}

func previewsIn(objects []object) []*v1alpha1.Preview {
	var previews []*v1alpha1.Preview
	for _, o := range objects {
		if p, ok := o.(*v1alpha1.Preview); ok {
			previews = append(previews, p)
		}
	}
	return previews
}

// previewResource is the record of a line; nil if there is none.
func (c *Client) previewResource(line agent.Line) *v1alpha1.Preview {
	var cached []object
	if o := c.cached("Preview", c.namespace, previewName(line)); o != nil {
		cached = append(cached, o)
	}
	key := types.NamespacedName{Namespace: c.namespace, Name: previewName(line)}
	for _, p := range previewsIn(c.previews.merge(cached, func(o object) bool { return keyOf(o) == key })) {
		if previewLine(p) == line {
			return p
		}
	}
	return nil
}

// Preview returns the record of a line, this process's own writes included.
func (c *Client) Preview(line agent.Line) (agent.Preview, bool) {
	o := c.previewResource(line)
	if o == nil {
		return agent.Preview{}, false
	}
	return domainPreview(o), true
}

// KeepPreview makes what change makes of the record of line durable. Nothing is
// written if it changes nothing.
func (c *Client) KeepPreview(ctx context.Context, line agent.Line, change func(*agent.Preview) error) (agent.Preview, error) {
	o := c.previewResource(line)
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			var err error
			if o, err = c.readPreview(ctx, line); err != nil {
				return agent.Preview{}, fmt.Errorf("reading preview %s: %w", previewName(line), err)
			}
		}
		p := agent.Preview{Line: line}
		if o != nil {
			p = domainPreview(o)
		}
		if err := change(&p); err != nil {
			return p, err
		}
		written, err := c.writePreview(ctx, p, o)
		switch conflict := apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || o != nil && apierrors.IsNotFound(err); {
		case err == nil:
			return domainPreview(written), nil
		case conflict && attempt >= maxAttempts:
			return p, fmt.Errorf("writing preview %s: %w", previewName(line), agent.ErrConflict)
		case !conflict:
			return p, fmt.Errorf("writing preview %s: %w", previewName(line), err)
		}
	}
}

// readPreview is nil if there is none.
func (c *Client) readPreview(ctx context.Context, line agent.Line) (*v1alpha1.Preview, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	o := &v1alpha1.Preview{}
	err := c.clients.custom.Get().Namespace(c.namespace).Resource(v1alpha1.Previews).Name(previewName(line)).Do(ctx).Into(o)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// writePreview writes p in the place of o, or creates it if o is nil.
func (c *Client) writePreview(ctx context.Context, p agent.Preview, o *v1alpha1.Preview) (*v1alpha1.Preview, error) {
	next := previewObject(p, c.namespace)
	ctx, cancel := bounded(ctx)
	defer cancel()
	written := &v1alpha1.Preview{}
	var err error
	if o == nil {
		err = c.clients.custom.Post().Namespace(c.namespace).Resource(v1alpha1.Previews).
			VersionedParams(&metav1.CreateOptions{FieldManager: render.Manager}, c.clients.codec).Body(next).Do(ctx).Into(written)
	} else {
		if equality.Semantic.DeepEqual(next.Status, o.Status) {
			return o, nil
		}
		next.ObjectMeta = *o.ObjectMeta.DeepCopy() // people may label it
		next.ManagedFields = nil
		err = c.clients.custom.Put().Namespace(c.namespace).Resource(v1alpha1.Previews).Name(next.Name).
			VersionedParams(&metav1.UpdateOptions{FieldManager: render.Manager}, c.clients.codec).Body(next).Do(ctx).Into(written)
	}
	if err != nil {
		return nil, err
	}
	written.SetManagedFields(nil)
	c.previews.wrote(written)
	return written, nil
}

// ForgetPreview deletes the record; one that is gone already is fine. One that has
// changed since p was read is not: ErrConflict.
func (c *Client) ForgetPreview(ctx context.Context, p agent.Preview) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := c.clients.custom.Delete().Namespace(c.namespace).Resource(v1alpha1.Previews).Name(previewName(p.Line)).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &p.Version}}).Do(ctx).Error()
	if apierrors.IsConflict(err) {
		return fmt.Errorf("deleting preview %s: %w", previewName(p.Line), agent.ErrConflict)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting preview %s: %w", previewName(p.Line), err)
	}
	key := types.NamespacedName{Namespace: c.namespace, Name: previewName(p.Line)}
	c.previews.deleted(key, c.cached("Preview", key.Namespace, key.Name))
	return nil
}
