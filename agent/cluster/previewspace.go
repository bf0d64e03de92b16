package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// previewOf is the preview that the namespace of r belongs to, what is allowed of the
// namespace, and the quotas of the other apps of its group; false if r's environment is
// a declared one. A preview without a record has no UID.
func (c *Client) previewOf(r agent.Release) (p agent.Preview, policy agent.PreviewPolicy, others []agent.Quota, is bool) {
	if _, is := spec.PreviewNumber(r.Line.Environment); !is {
		return p, policy, nil, false
	}
	p, _ = c.Preview(r.Line)
	p.Line = r.Line
	apps := c.Apps()
	for _, app := range apps {
		if app.Name != r.Line.App {
			continue
		}
		if app.Declares(r.Line.Environment) {
			return agent.Preview{}, policy, nil, false
		}
		policy, others = app.Roof(p, apps)
	}
	return p, policy, others, true
}

// ensurePreview makes the namespace of r, which is that of p, and puts up its guard
// rails, once per process and what the platform owner says of them unless the policy
// among them is missing. It returns before anything else of r is in the namespace, so no
// pod of it runs without them. It never takes a namespace that was not made for p, or
// for an app of its group that is in it. The others are the quotas of these.
func (c *Client) ensurePreview(ctx context.Context, r agent.Release, p agent.Preview, policy agent.PreviewPolicy, others ...agent.Quota) error {
	if p.Phase != agent.PreviewActive { // since the release was admitted: it is looked at again
		return fmt.Errorf("making namespace %s: the preview is being taken away: %w", r.Namespace, agent.ErrConflict)
	}
	rails, err := render.RailsOf(r, cmp.Or(p.Owner, p.UID), policy, others...)
	if err != nil {
		return c.notMade(r, err.Error())
	}
	known := fmt.Sprintf("%s %s %s %+v %+v %t %q", p.UID, p.Owner, p.CreatedAt, policy.Quota, others, policy.EgressOpen, policy.EgressAllow)
	c.mu.Lock()
	ensured := c.ensured[r.Namespace] == known
	c.mu.Unlock()
	if ensured && c.cached("NetworkPolicy", r.Namespace, render.PreviewRails) != nil {
		return nil
	}
	if err := c.makePreview(ctx, r, p); err != nil {
		return err
	}
	for kind, write := range map[string]func(context.Context, metav1.PatchOptions) error{
		"ResourceQuota": func(ctx context.Context, options metav1.PatchOptions) error {
			body, err := applied(rails.Quota)
			if err == nil {
				_, err = c.clients.core.ResourceQuotas(r.Namespace).Patch(ctx, render.PreviewRails, types.ApplyPatchType, body, options)
			}
			return err
		},
		"LimitRange": func(ctx context.Context, options metav1.PatchOptions) error {
			body, err := applied(rails.Limits)
			if err == nil {
				_, err = c.clients.core.LimitRanges(r.Namespace).Patch(ctx, render.PreviewRails, types.ApplyPatchType, body, options)
			}
			return err
		},
		"NetworkPolicy": func(ctx context.Context, options metav1.PatchOptions) error {
			body, err := applied(rails.Walls)
			if err == nil {
				_, err = c.clients.networking.NetworkPolicies(r.Namespace).Patch(ctx, render.PreviewRails, types.ApplyPatchType, body, options)
			}
			return err
		},
	} {
		if err := c.writeRail(ctx, r, kind, write); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ensured[r.Namespace] = known
	return nil
}

func (c *Client) writeRail(ctx context.Context, r agent.Release, kind string, write func(context.Context, metav1.PatchOptions) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	force := true
	err := write(ctx, metav1.PatchOptions{FieldManager: render.Manager, Force: &force})
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return fmt.Errorf("making the %s of namespace %s: %w", kind, r.Namespace, err)
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err): // asking again is of no use
		return c.notMade(r, fmt.Sprintf("its %s cannot be made: %s", kind, cut(redact(err.Error()), maxRejection)))
	case err != nil:
		return fmt.Errorf("making the %s of namespace %s: %w", kind, r.Namespace, err)
	}
	return nil
}

// applied is a typed object as server-side apply takes it: its status is nobody's.
func applied(o object) ([]byte, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	if meta, ok := fields["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return json.Marshal(fields)
}

// makePreview creates the namespace of p, or makes sure that it was made for p.
func (c *Client) makePreview(ctx context.Context, r agent.Release, p agent.Preview) error {
	requestCtx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.clients.core.Namespaces().Create(requestCtx, &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: r.Namespace, Labels: render.PreviewLabels(r, p), Annotations: marks(p)},
	}, metav1.CreateOptions{FieldManager: render.Manager})
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			return fmt.Errorf("making namespace %s: %w", r.Namespace, err)
		}
		return nil
	}
	there, err := c.clients.core.Namespaces().Get(requestCtx, r.Namespace, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading namespace %s: %w", r.Namespace, err)
	}
	return c.settleIn(requestCtx, r, p, there)
}

// madeFor reports whether a namespace was made for p, or for the app of its group that
// came first, and is of nobody else since.
func madeFor(n *corev1.Namespace, p agent.Preview) bool {
	if p.Group != "" {
		return p.Owns(n.Labels[render.LabelPreview]) && sharedBy(n, p)
	}
	_, grouped := n.Labels[render.LabelGroup]
	return !grouped && p.UID != "" && n.Labels[render.LabelPreview] == p.UID && n.Labels[render.LabelManagedBy] == render.Manager &&
		n.Labels[render.LabelApp] == render.Label(p.Line.App) && n.Labels[render.LabelEnvironment] == render.Label(p.Line.Environment)
}

func (c *Client) notMade(r agent.Release, why string) error {
	return &agent.Rejected{Object: agent.Object{APIVersion: "v1", Kind: "Namespace", Name: r.Namespace}, Message: fmt.Sprintf("namespace %s of the preview: %s", r.Namespace, why)}
}

// DeleteNamespace asks for the end of p's namespace. It goes by the labels, the UID
// and the version of what it has read: what was somebody else's, or became it, is left
// alone, with ErrForeign; and so is what others of its group are in, with ErrShared.
func (c *Client) DeleteNamespace(ctx context.Context, p agent.Preview) (left string, err error) {
	if p.Namespace == "" {
		return "", nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, err := c.clients.core.Namespaces().Get(ctx, p.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		c.forgetPlace(p.Namespace)
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading namespace %s: %w", p.Namespace, err)
	}
	if !madeFor(there, p) {
		if gone, err := c.succeeded(ctx, there, p); err != nil || gone {
			return "", err
		}
		c.log.Warn("namespace left alone: it was not made for the preview", "namespace", p.Namespace, "environment", p.Line.Environment, "name", p.Line.App)
		return "", fmt.Errorf("namespace %s: %w", p.Namespace, agent.ErrForeign)
	}
	if there.DeletionTimestamp != nil {
		return whyNotGone(there), nil
	}
	if stays, err := c.stays(ctx, there, p); err != nil || stays {
		return "", cmp.Or(err, agent.ErrShared)
	}
	background := metav1.DeletePropagationBackground
	err = c.clients.core.Namespaces().Delete(ctx, p.Namespace, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &there.UID, ResourceVersion: &there.ResourceVersion},
	})
	switch {
	case apierrors.IsNotFound(err):
		return "", nil
	case apierrors.IsConflict(err):
		return "it has changed since it was looked at", nil
	case err != nil:
		return "", err
	}
	c.forgetPlace(p.Namespace)
	return "what is in it is being deleted", nil
}

// whyNotGone is what a namespace waits for that is being deleted, as its controller
// says.
func whyNotGone(n *corev1.Namespace) string {
	var told []string
	for _, condition := range n.Status.Conditions {
		if condition.Status == corev1.ConditionTrue && condition.Message != "" {
			told = append(told, cut(strings.Join(strings.Fields(redact(condition.Message)), " "), maxRejection))
		}
	}
	if len(told) == 0 {
		return "what is in it is being deleted"
	}
	return strings.Join(told, "; ")
}
