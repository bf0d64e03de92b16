package cluster

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// Prune deletes the objects of gone that are not in kept, and returns those that
// may still be there, to be tried again. An object that does not carry Inhaul's
// label, or that of the app of r, is somebody else's and is left alone: an
// inventory also names what a release was refused. The error tells why the first
// deletion failed; the rest is deleted all the same.
func (c *Client) Prune(ctx context.Context, r agent.Release, gone, kept []agent.Object) ([]agent.Object, error) {
	var left []agent.Object
	var first error
	for _, o := range gone {
		if slices.Contains(kept, o) || slices.Contains(left, o) {
			continue
		}
		confirmed, err := c.remove(ctx, o, render.Label(r.Line.App))
		if err != nil && first == nil {
			first = fmt.Errorf("deleting %s %s: %w", o.Kind, o.Name, err)
		}
		if !confirmed {
			left = append(left, o)
		}
	}
	return left, first
}

// remove deletes one object and reports whether it is surely gone or not ours.
func (c *Client) remove(ctx context.Context, o agent.Object, app string) (bool, error) {
	r, ok := c.resource(o.Kind)
	if !ok {
		c.log.Warn("inventory names an object of a kind that is never made", "kind", o.Kind, "namespace", o.Namespace, "name", o.Name)
		return true, nil
	}
	live := c.cached(o.Kind, o.Namespace, o.Name)
	if live == nil { // or of a kind without a cache
		var err error
		if live, err = c.read(ctx, r, o); apierrors.IsNotFound(err) {
			return true, nil
		} else if err != nil {
			return false, err
		}
	}
	if labels := live.GetLabels(); labels[render.LabelManagedBy] != render.Manager || labels[render.LabelApp] != app {
		c.log.Warn("object left alone: its labels are not those of the app", "kind", o.Kind, "namespace", o.Namespace, "name", o.Name)
		return true, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	uid, background := live.GetUID(), metav1.DeletePropagationBackground
	result := r.client.Delete().Namespace(o.Namespace).Resource(r.plural).Name(o.Name).
		Body(&metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid}}).Do(ctx)
	err := result.Error()
	if apierrors.IsNotFound(err) {
		c.ledger.forget(o)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	c.ledger.forget(o)
	c.notePruned(live)
	c.log.Debug("object deleted", "kind", o.Kind, "namespace", o.Namespace, "name", o.Name)
	return deletedAtOnce(result.Get()), nil
}

// deletedAtOnce reports whether the answer to a deletion says that the object is
// gone. Most kinds answer with a Status then and with the object while it waits
// for finalizers; Services answer with the object always.
func deletedAtOnce(answer runtime.Object, err error) bool {
	if err != nil {
		return false
	}
	if o, ok := answer.(metav1.Object); ok {
		return len(o.GetFinalizers()) == 0
	}
	_, ok := answer.(*metav1.Status)
	return ok
}

// notePruned remembers that o is gone although the cache may still show it.
func (c *Client) notePruned(o object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pruned[string(o.GetUID())] = true
}

func (c *Client) wasPruned(o object) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pruned[string(o.GetUID())]
}

// forgetPruned is called when the cache has seen o deleted.
func (c *Client) forgetPruned(o any) {
	if typed := last(o); typed != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pruned, string(typed.GetUID()))
	}
}
