package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// dryRunsAtOnce is how many dry runs of one release are on their way together.
const dryRunsAtOnce = 4

// maxRejection is how much of the API server's refusal is told.
const maxRejection = 2048

// Objects names the objects of r in the order in which they are written.
func (c *Client) Objects(r agent.Release) ([]agent.Object, error) {
	objects, err := rendered(r)
	if err != nil {
		return nil, err
	}
	references := make([]agent.Object, 0, len(objects))
	for _, u := range objects {
		references = append(references, reference(u))
	}
	return references, nil
}

// rendered are the objects of r; an error is a *agent.Rejected.
func rendered(r agent.Release) ([]*unstructured.Unstructured, error) {
	objects, err := render.Objects(r)
	if err != nil {
		return nil, &agent.Rejected{Object: agent.Object{Kind: "App", Namespace: r.Namespace, Name: r.Line.App}, Message: err.Error()}
	}
	return objects, nil
}

// Apply writes the release's objects and returns the inventory. All objects are
// tried in a dry run first: *agent.Rejected says that one was refused and
// nothing was written. Objects that are as they should be are not touched, and
// each Deployment is written once: writing it twice within milliseconds makes
// its controller lose status.
//
// Any other error may leave a part written; applying again completes it.
func (c *Client) Apply(ctx context.Context, r agent.Release) ([]agent.Object, error) {
	objects, err := rendered(r)
	if err != nil {
		return nil, err
	}
	writes, err := c.plan(ctx, objects)
	if apierrors.IsNotFound(err) { // the namespace was deleted since it was ensured
		c.forgetNamespace(r.Namespace)
		if err := c.ensureNamespace(ctx, r); err != nil {
			return nil, err
		}
		writes, err = c.plan(ctx, objects)
	}
	if err != nil {
		return nil, err
	}
	inventory := make([]agent.Object, 0, len(objects))
	for i, u := range objects {
		inventory = append(inventory, reference(u))
		if !writes[i] {
			continue
		}
		if _, err := c.patch(ctx, u, false); err != nil {
			return nil, fmt.Errorf("applying %s %s: %w", u.GetKind(), u.GetName(), err)
		}
		c.log.Debug("object applied", "kind", u.GetKind(), "namespace", u.GetNamespace(), "name", u.GetName())
	}
	return inventory, nil
}

// plan says for every object whether it has to be written.
func (c *Client) plan(ctx context.Context, objects []*unstructured.Unstructured) ([]bool, error) {
	writes := make([]bool, len(objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dryRunsAtOnce)
	for i, u := range objects {
		group.Go(func() (err error) {
			writes[i], err = c.differs(ctx, u)
			return err
		})
	}
	return writes, group.Wait()
}

// differs reports whether the cluster has something else than u, and fails if u
// may not be written.
func (c *Client) differs(ctx context.Context, u *unstructured.Unstructured) (bool, error) {
	live := c.cached(u.GetKind(), u.GetNamespace(), u.GetName())
	if live != nil && live.GetLabels()[render.LabelApp] != u.GetLabels()[render.LabelApp] {
		return false, taken(u, live.GetLabels()[render.LabelApp])
	}
	if live != nil && c.hasContent(live, u) {
		return false, nil
	}
	dry, err := c.patch(ctx, u, true)
	if err != nil {
		return false, c.rejected(u, err)
	}
	exists := dry.GetResourceVersion() != ""
	if live == nil && exists {
		return true, c.mayTake(ctx, u)
	}
	// Equal content is not enough: the cache may show what was there before this
	// process's last write. The dry run has the resource version of the truth.
	return live == nil || dry.GetResourceVersion() != live.GetResourceVersion() || !sameContent(live, dry), nil
}

// hasContent reports whether live is the immutable, content-named ConfigMap that
// u describes. Such a one is never tried again.
func (c *Client) hasContent(live object, u *unstructured.Unstructured) bool {
	config, ok := live.(*corev1.ConfigMap)
	if !ok || config.Immutable == nil || !*config.Immutable || config.DeletionTimestamp != nil || c.wasPruned(config) {
		return false
	}
	data, _, err := unstructured.NestedStringMap(u.Object, "data")
	return err == nil && config.Data[contentKey] == render.ConfigHash(data)
}

// mayTake fails if an object that is there already, but not in the cache, is
// somebody else's. It may also be our own, written a moment ago.
func (c *Client) mayTake(ctx context.Context, u *unstructured.Unstructured) error {
	r, ok := c.resource(u.GetKind())
	if !ok {
		return notAllowed(u)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	live := r.empty()
	err := r.client.Get().Namespace(u.GetNamespace()).Resource(r.plural).Name(u.GetName()).Do(ctx).Into(live)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	labels := live.GetLabels()
	if labels[render.LabelManagedBy] != render.Manager || labels[render.LabelApp] != u.GetLabels()[render.LabelApp] {
		return taken(u, labels[render.LabelApp])
	}
	return nil
}

func taken(u *unstructured.Unstructured, by string) *agent.Rejected {
	message := "there is one already, and Inhaul did not make it: delete or rename it, or use another namespace"
	if by != "" {
		message = fmt.Sprintf("there is one already, of app %q: use another namespace, or rename the service", by)
	}
	return &agent.Rejected{Object: reference(u), Message: message}
}

func notAllowed(u *unstructured.Unstructured) *agent.Rejected {
	return &agent.Rejected{Object: reference(u), Message: "a release cannot have objects of this kind"}
}

// patch sends u by server-side apply and returns what the API server makes of it.
func (c *Client) patch(ctx context.Context, u *unstructured.Unstructured, dryRun bool) (object, error) {
	r, ok := c.resource(u.GetKind())
	if !ok {
		return nil, notAllowed(u)
	}
	body, err := u.MarshalJSON()
	if err != nil {
		return nil, err
	}
	force := true // the intent is the truth: fields that somebody else took come back
	options := metav1.PatchOptions{FieldManager: render.Manager, Force: &force}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	result := r.empty()
	err = r.client.Patch(types.ApplyPatchType).Namespace(u.GetNamespace()).Resource(r.plural).Name(u.GetName()).
		VersionedParams(&options, scheme.ParameterCodec).Body(body).Do(ctx).Into(result)
	return result, err
}

// rejected tells a refusal, which will not change by asking again, from trouble.
func (c *Client) rejected(u *unstructured.Unstructured, err error) error {
	var known *agent.Rejected
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &known):
		return known
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("trying %s %s: %w", u.GetKind(), u.GetName(), err)
	case errors.As(err, &status) && refusal(int(status.Status().Code)):
		// Scrubbed: the API server quotes the values it does not like.
		return &agent.Rejected{Object: reference(u), Message: cut(redact(status.Status().Message), maxRejection)}
	}
	return fmt.Errorf("trying %s %s: %w", u.GetKind(), u.GetName(), err)
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
