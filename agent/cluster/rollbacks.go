package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

var (
	_ agent.Requests   = (*Client)(nil)
	_ agent.Requesters = (*Client)(nil)
)

// maxAnswered is how many answered rollbacks are kept in a namespace: they are for
// whoever asked. What came of them is in the releases.
const maxAnswered = 20

// noteRollback tells Changed of the line of a rollback that has no answer.
func (c *Client) noteRollback() cache.ResourceEventHandler {
	note := func(o any) {
		if rollback, ok := last(o).(*v1alpha1.Rollback); ok && pending(rollback) {
			c.changes.note(domainRequest(rollback).Line)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    note,
		UpdateFunc: func(_, o any) { note(o) },
		DeleteFunc: func(o any) { c.rollbacks.gone(last(o)) },
	}
}

func pending(o *v1alpha1.Rollback) bool {
	return o.DeletionTimestamp == nil && (o.Status.Phase == "" || o.Status.Phase == string(agent.RequestPending))
}

// Requests returns the rollbacks that have no answer yet, oldest first, this
// process's own answers included.
func (c *Client) Requests() []agent.Request {
	return each(c.rollbackResources(pending), domainRequest)
}

// rollbackResources are the rollbacks that match, oldest first.
func (c *Client) rollbackResources(match func(*v1alpha1.Rollback) bool) []*v1alpha1.Rollback {
	var cached []object
	for _, o := range c.informers["Rollback"].GetStore().List() {
		cached = append(cached, last(o))
	}
	var all []*v1alpha1.Rollback
	for _, o := range c.rollbacks.merge(cached, func(object) bool { return false }) {
		if rollback, ok := o.(*v1alpha1.Rollback); ok && match(rollback) {
			all = append(all, rollback)
		}
	}
	slices.SortFunc(all, func(a, b *v1alpha1.Rollback) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name))
	})
	return all
}

// Conclude makes r.Answer durable, and deletes the oldest answered rollbacks of
// r's namespace beyond maxAnswered. A rollback that is gone needs no answer.
func (c *Client) Conclude(ctx context.Context, r agent.Request) error {
	requestCtx, cancel := bounded(ctx)
	defer cancel()
	updated := &v1alpha1.Rollback{}
	err := c.clients.custom.Put().Namespace(r.Namespace).Resource(v1alpha1.Rollbacks).Name(r.Name).SubResource("status").
		VersionedParams(&metav1.UpdateOptions{FieldManager: render.Manager}, c.clients.codec).
		Body(rollbackResource(r)).Do(requestCtx).Into(updated)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		return fmt.Errorf("updating rollback %s: %w", r.Name, agent.ErrConflict)
	case err != nil:
		return fmt.Errorf("updating rollback %s: %w", r.Name, err)
	}
	updated.SetManagedFields(nil)
	c.rollbacks.wrote(updated)
	answered := c.rollbackResources(func(o *v1alpha1.Rollback) bool { return o.Namespace == r.Namespace && !pending(o) })
	for _, old := range answered[:max(0, len(answered)-maxAnswered)] {
		if err := c.deleteRollback(ctx, old); err != nil { // the next answer brings another try
			c.log.Warn("an old rollback stays", "namespace", old.Namespace, "name", old.Name, "error", err)
		}
	}
	return nil
}

func (c *Client) deleteRollback(ctx context.Context, o *v1alpha1.Rollback) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := c.clients.custom.Delete().Namespace(o.Namespace).Resource(v1alpha1.Rollbacks).Name(o.Name).
		Body(&metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(o.UID))}).Do(ctx).Error()
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	c.rollbacks.deleted(keyOf(o), o)
	return nil
}

func domainRequest(o *v1alpha1.Rollback) agent.Request {
	return agent.Request{
		Line:      agent.Line{App: o.Spec.App, Environment: o.Spec.Environment},
		Namespace: o.Namespace, Name: o.Name, UID: string(o.UID), To: o.Spec.To, By: o.Spec.RequestedBy, Reason: o.Spec.Reason,
		CreatedAt: o.CreationTimestamp.UTC(),
		Answer: agent.Answer{
			Phase: agent.RequestPhase(o.Status.Phase), Release: o.Status.Release, Restore: o.Status.Restore,
			Message: o.Status.Message, At: plainTime(o.Status.FinishedAt),
		},
		Version: o.ResourceVersion,
	}
}

// rollbackResource is r as a custom resource, within the bounds of the schema.
func rollbackResource(r agent.Request) *v1alpha1.Rollback {
	return &v1alpha1.Rollback{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "Rollback"},
		ObjectMeta: metav1.ObjectMeta{Name: r.Name, Namespace: r.Namespace, ResourceVersion: r.Version},
		Spec:       v1alpha1.RollbackSpec{App: r.Line.App, Environment: r.Line.Environment, To: r.To, RequestedBy: r.By, Reason: r.Reason},
		Status: v1alpha1.RollbackStatus{
			Phase: string(r.Answer.Phase), Release: r.Answer.Release, Restore: r.Answer.Restore,
			Message: cut(redact(r.Answer.Message), v1alpha1.MaxMessage), FinishedAt: micro(r.Answer.At),
		},
	}
}
