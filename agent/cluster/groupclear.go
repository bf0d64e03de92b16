package cluster

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// ClearNamespace deletes every object of p's app in its namespace, its databases with
// their credentials and volumes too: if it comes back, they are made anew. They are found
// by their labels: no release need tell of them.
func (c *Client) ClearNamespace(ctx context.Context, p agent.Preview) (left string, err error) {
	var there []string
	for _, gvk := range render.Allowed() {
		r, ok := c.resource(gvk.Kind)
		if !ok {
			continue
		}
		of, err := c.clearKind(ctx, p, gvk.GroupVersion().WithResource(r.plural), func(ctx context.Context, o *metav1.PartialObjectMetadata) (bool, error) {
			at, _ := renderedKind(gvk.Kind)
			at.Namespace, at.Name = p.Namespace, o.Name
			return c.remove(ctx, at, render.Label(p.Line.App))
		})
		if err != nil {
			return "", err
		}
		there = append(there, of...)
	}
	volumes := corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	of, err := c.clearKind(ctx, p, volumes, func(ctx context.Context, o *metav1.PartialObjectMetadata) (bool, error) {
		ctx, cancel := bounded(ctx)
		defer cancel()
		err := c.clients.core.PersistentVolumeClaims(p.Namespace).Delete(ctx, o.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &o.UID}})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err // it waits for its pod
	})
	if err != nil {
		return "", err
	}
	if there = append(there, of...); len(there) == 0 {
		return "", nil
	}
	return cut("what is being deleted of it: "+strings.Join(there, ", "), maxRejection), nil
}

// clearKind has remove delete every object of p's app of one kind, and returns those that
// are there still, in words for people.
func (c *Client) clearKind(ctx context.Context, p agent.Preview, kind schema.GroupVersionResource, remove func(context.Context, *metav1.PartialObjectMetadata) (gone bool, err error)) (there []string, err error) {
	requestCtx, cancel := bounded(ctx)
	list, err := c.clients.metadata.Resource(kind).Namespace(p.Namespace).
		List(requestCtx, metav1.ListOptions{LabelSelector: ours + "," + render.LabelApp + "=" + render.Label(p.Line.App)})
	cancel()
	if apierrors.IsNotFound(err) { // a kind that this cluster does not have
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s of %s: %w", kind.Resource, p.Line, err)
	}
	for i := range list.Items {
		o := &list.Items[i]
		if o.OwnerReferences != nil { // it goes with what made it
			continue
		}
		gone, err := remove(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("deleting %s %s: %w", kind.Resource, o.Name, err)
		}
		if !gone && o.Finalizers != nil {
			there = append(there, kind.Resource+"/"+o.Name+" (held by "+strings.Join(o.Finalizers, ", ")+")")
		} else if !gone {
			there = append(there, kind.Resource+"/"+o.Name)
		}
	}
	return there, nil
}
