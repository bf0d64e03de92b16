package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// maxRejection is how much of the API server's refusal is told.
const maxRejection = 2048

// live returns what the cluster has of an object: from the cache where one is
// kept, else from the API server. It is nil if there is nothing.
func (c *Client) live(ctx context.Context, at agent.Object) (object, error) {
	r, ok := c.resource(at.Kind)
	if !ok {
		return nil, notAllowed(at)
	}
	if r.keep != "" {
		return c.cached(at.Kind, at.Namespace, at.Name), nil
	}
	live, err := c.read(ctx, r, at)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", at.Kind, at.Name, err)
	}
	return live, nil
}

func (c *Client) read(ctx context.Context, r resource, at agent.Object) (object, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	live := r.empty()
	err := r.client.Get().Namespace(at.Namespace).Resource(r.plural).Name(at.Name).Do(ctx).Into(live)
	return live, err
}

// mayTake fails if an object that is there already, but was not looked for or is
// not in the cache, is somebody else's. It may also be our own, written a moment
// ago.
func (c *Client) mayTake(ctx context.Context, at agent.Object, labels map[string]string) error {
	r, ok := c.resource(at.Kind)
	if !ok {
		return notAllowed(at)
	}
	live, err := c.read(ctx, r, at)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s %s: %w", at.Kind, at.Name, err)
	}
	return sameOwner(at, live, labels)
}

// sameOwner refuses to write an object over one that is not of the same app.
func sameOwner(at agent.Object, live object, labels map[string]string) error {
	has := live.GetLabels()
	if has[render.LabelManagedBy] == render.Manager && has[render.LabelApp] == labels[render.LabelApp] {
		return nil
	}
	message := "there is one already, and Inhaul did not make it: delete or rename it, or use another namespace"
	if by := has[render.LabelApp]; by != "" {
		message = fmt.Sprintf("there is one already, of app %q: use another namespace, or rename the service", by)
	}
	return &agent.Rejected{Object: at, Message: message}
}

func notAllowed(at agent.Object) *agent.Rejected {
	return &agent.Rejected{Object: at, Message: "a release cannot have objects of this kind"}
}

// send writes u and returns what the API server makes of it. A Job is created,
// which happens once; everything else is applied.
func (c *Client) send(ctx context.Context, u *unstructured.Unstructured, dryRun bool) (object, error) {
	r, ok := c.resource(u.GetKind())
	if !ok {
		return nil, notAllowed(reference(u))
	}
	body, err := u.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var dry []string
	if dryRun {
		dry = []string{metav1.DryRunAll}
	}
	if u.GetKind() != "Job" {
		return c.patch(ctx, r, reference(u), body, patchOptions{kind: types.ApplyPatchType, manager: render.Manager, dryRun: dry})
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	result := r.empty()
	err = r.client.Post().SetHeader("Content-Type", runtime.ContentTypeJSON).Namespace(u.GetNamespace()).Resource(r.plural).
		SpecificallyVersionedParams(&metav1.CreateOptions{FieldManager: render.Manager, DryRun: dry}, scheme.ParameterCodec, metaVersion()).
		Body(body).Do(ctx).Into(result)
	return result, err
}

// metaVersion is the version of the options of every request.
func metaVersion() schema.GroupVersion { return schema.GroupVersion{Version: "v1"} }

// patchOptions say how an object is patched.
type patchOptions struct {
	kind    types.PatchType
	manager string
	dryRun  []string
}

func (c *Client) patch(ctx context.Context, r resource, at agent.Object, body []byte, how patchOptions) (object, error) {
	options := &metav1.PatchOptions{FieldManager: how.manager, DryRun: how.dryRun}
	if how.kind == types.ApplyPatchType {
		force := true // the intent is the truth: fields that somebody else took come back
		options.Force = &force
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	result := r.empty()
	err := r.client.Patch(how.kind).Namespace(at.Namespace).Resource(r.plural).Name(at.Name).
		SpecificallyVersionedParams(options, scheme.ParameterCodec, metaVersion()).
		Body(body).Do(ctx).Into(result)
	return result, err
}

// rejected tells a refusal, which will not change by asking again, from trouble.
// Both are scrubbed: the API server quotes the values that it does not like.
func (c *Client) rejected(at agent.Object, err error, scrub func(string) string) error {
	var known *agent.Rejected
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &known):
		return known
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), rolesUnread(err):
	case errors.As(err, &status) && refusal(int(status.Status().Code)):
		return &agent.Rejected{Object: at, Message: cut(redact(scrub(status.Status().Message)), maxRejection)}
	}
	return fmt.Errorf("trying %s %s: %w", at.Kind, at.Name, err)
}

// rolesUnread reports whether the API server has forbidden something because it
// does not find the roles that are bound: one that has just started answers before
// it has read them.
//
// https://github.com/kubernetes/kubernetes/blob/v1.37.0/plugin/pkg/auth/authorizer/rbac/rbac.go
func rolesUnread(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "RBAC: ") && strings.Contains(err.Error(), "not found")
}

// refusal reports whether an HTTP status means that the object itself is not
// wanted: malformed, forbidden, invalid, too large.
func refusal(code int) bool {
	switch code {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func reference(u *unstructured.Unstructured) agent.Object {
	return agent.Object{APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName()}
}

func compareObjects(a, b agent.Object) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
