package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
	"github.com/inhaul/inhaul/spec"
)

var _ agent.Tenancies = (*Client)(nil)

// Who is in a shared namespace is on the records of previews. The namespace has a mark
// for each, too: whoever comes in writes it after its record, and whoever goes reads
// the records after the namespace, and changes or deletes it in the version that it
// has read. So of one that comes while another goes, and of two that go, one finds
// that it was overtaken and looks again, whichever process they are in.

// memberMark is the annotation of the app's mark on the namespace that it shares.
func memberMark(app string) string { return "inhaul.dev/member." + render.Label(app) }

// memberLife is the value of the mark of p: no two lives of a preview have the same,
// so that coming in always changes the namespace.
func memberLife(p agent.Preview) string {
	return p.UID + " " + p.CreatedAt.UTC().Format(time.RFC3339Nano)
}

// marks are the annotations of a namespace that is made for p.
func marks(p agent.Preview) map[string]string {
	if p.Group == "" {
		return nil
	}
	return map[string]string{memberMark(p.Line.App): memberLife(p)}
}

// neighbours are the records of the pull request of p, of all apps, as the API server
// has them: the cache may be behind what another process wrote before this one led.
func (c *Client) neighbours(ctx context.Context, p agent.Preview) ([]agent.Preview, error) {
	number, _ := spec.PreviewNumber(p.Line.Environment)
	list := &v1alpha1.PreviewList{}
	err := c.clients.custom.Get().Namespace(c.namespace).Resource(v1alpha1.Previews).
		VersionedParams(&metav1.ListOptions{LabelSelector: fmt.Sprintf("%s=%d", render.LabelPullRequest, number)}, c.clients.codec).Do(ctx).Into(list)
	if err != nil {
		return nil, fmt.Errorf("listing the previews of pull request %d: %w", number, err)
	}
	records := make([]agent.Preview, 0, len(list.Items))
	for i := range list.Items {
		records = append(records, domainPreview(&list.Items[i]))
	}
	return records, nil
}

// settleIn makes sure that p is in the namespace that is there, which may be its
// group's: its record says whose it is, then the namespace has its mark.
func (c *Client) settleIn(ctx context.Context, r agent.Release, p agent.Preview, there *corev1.Namespace) error {
	owner := there.Labels[render.LabelPreview]
	tenure, marked := agent.TenureForeign, sharedBy(there, p)
	if marked {
		records, err := c.neighbours(ctx, p)
		if err != nil {
			return err
		}
		tenure = p.Tenure(owner, records)
	} else if madeFor(there, p) {
		tenure = agent.TenureOwn
	}
	switch {
	case tenure == agent.TenureForeign:
		return c.notMade(r, "there is one already, and Inhaul did not make it for this pull request: delete or rename it, or change spec.previews.namespace of the App")
	case there.DeletionTimestamp != nil || tenure == agent.TenureWait:
		return fmt.Errorf("making namespace %s: the one that was there is still being deleted", r.Namespace)
	case !marked:
		return nil
	}
	if p.Owner != owner {
		var err error
		p, err = c.KeepPreview(ctx, p.Line, func(p *agent.Preview) error {
			if p.Phase != agent.PreviewActive {
				return fmt.Errorf("the preview is being taken away: %w", agent.ErrConflict)
			}
			p.Owner = owner
			return nil
		})
		if err != nil {
			return fmt.Errorf("recording whose namespace %s is: %w", r.Namespace, err)
		}
	}
	if there.Annotations[memberMark(p.Line.App)] == memberLife(p) {
		return nil
	}
	if err := c.mark(ctx, there, p, memberLife(p)); err != nil {
		return fmt.Errorf("coming into namespace %s: %w", r.Namespace, err)
	}
	return nil
}

// sharedBy reports whether a namespace says that it is the one of p's group and pull
// request.
func sharedBy(n *corev1.Namespace, p agent.Preview) bool {
	return p.Group != "" && n.Labels[render.LabelGroup] == render.Label(p.Group) && n.Labels[render.LabelManagedBy] == render.Manager &&
		n.Labels[render.LabelEnvironment] == render.Label(p.Line.Environment)
}

// mark puts p's mark on a namespace, or takes it off if value is nil, unless the
// namespace has changed since it was read: that is a conflict.
func (c *Client) mark(ctx context.Context, there *corev1.Namespace, p agent.Preview, value any) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": there.UID, "resourceVersion": there.ResourceVersion, "annotations": map[string]any{memberMark(p.Line.App): value},
	}})
	if err != nil {
		return err
	}
	_, err = c.clients.core.Namespaces().Patch(ctx, there.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: render.Manager})
	return err
}

// stays reports whether others of p's group stay in the namespace that was read before.
func (c *Client) stays(ctx context.Context, there *corev1.Namespace, p agent.Preview) (bool, error) {
	if p.Group == "" {
		return false, nil
	}
	records, err := c.neighbours(ctx, p)
	if err != nil {
		return false, err
	}
	return p.Stays(there.Labels[render.LabelPreview], records, func(app string) bool {
		_, is := there.Annotations[memberMark(app)]
		return is
	}), nil
}

// succeeded reports whether the namespace was made by another app of p's group, after
// that which p was in had gone.
func (c *Client) succeeded(ctx context.Context, there *corev1.Namespace, p agent.Preview) (bool, error) {
	if !sharedBy(there, p) {
		return false, nil
	}
	records, err := c.neighbours(ctx, p)
	if err != nil {
		return false, err
	}
	return p.Tenure(there.Labels[render.LabelPreview], records) != agent.TenureForeign, nil
}

// LeaveNamespace takes p's mark off its namespace, unless nobody else of its group is
// in it. A namespace that is gone, or not p's any more, is left already.
func (c *Client) LeaveNamespace(ctx context.Context, p agent.Preview) (out bool, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, err := c.clients.core.Namespaces().Get(ctx, p.Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil // which the next look finds, too
	}
	if err != nil {
		return false, fmt.Errorf("reading namespace %s: %w", p.Namespace, err)
	}
	if stays, err := c.stays(ctx, there, p); err != nil || !stays {
		return false, err
	}
	if err := c.mark(ctx, there, p, nil); err != nil {
		return false, fmt.Errorf("leaving namespace %s: %w", p.Namespace, err)
	}
	c.forgetNamespace(p.Namespace)
	c.log.Info("namespace left to others of the group", "namespace", p.Namespace, "environment", p.Line.Environment, "name", p.Line.App)
	return true, nil
}
