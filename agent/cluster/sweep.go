package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

var (
	_ agent.Spaces = (*Client)(nil)
	_ agent.Rails  = (*Client)(nil)
)

// spacesPerPage is how many namespaces, or records, are read at a time.
const spacesPerPage = 500

// Previews returns the record of every preview, this process's own writes included.
func (c *Client) Previews() []agent.Preview {
	var previews []agent.Preview
	for _, o := range c.previewResources() {
		previews = append(previews, domainPreview(o))
	}
	return sorted(previews)
}

// PreviewSpaces lists the namespaces of previews. Only where one seems to have no
// record are the records of the whole cluster asked for, those of other agents too.
func (c *Client) PreviewSpaces(ctx context.Context) ([]agent.PreviewSpace, error) {
	known := map[string]bool{}
	for _, o := range c.previewResources() {
		noteOwner(known, o)
	}
	var spaces []agent.PreviewSpace
	options := metav1.ListOptions{LabelSelector: render.LabelManagedBy + "=" + render.Manager + "," + render.LabelPreview, Limit: spacesPerPage}
	for {
		list, err := c.listSpaces(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("listing namespaces of previews: %w", err)
		}
		for i := range list.Items {
			spaces = append(spaces, spaceOf(&list.Items[i]))
		}
		if options.Continue = list.Continue; options.Continue == "" {
			break
		}
	}
	strange := false
	for i := range spaces {
		spaces[i].Owned = known[spaces[i].Owner]
		strange = strange || !spaces[i].Owned
	}
	if !strange {
		return spaces, nil
	}
	owners, err := c.owners(ctx)
	if err != nil {
		return nil, err
	}
	for i := range spaces {
		spaces[i].Owned = spaces[i].Owned || owners[spaces[i].Owner]
	}
	return spaces, nil
}

func (c *Client) listSpaces(ctx context.Context, options metav1.ListOptions) (*corev1.NamespaceList, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return c.clients.core.Namespaces().List(ctx, options)
}

// spaceOf is what the labels of a namespace say.
func spaceOf(n *corev1.Namespace) agent.PreviewSpace {
	s := agent.PreviewSpace{
		Namespace: n.Name, Line: agent.Line{App: n.Labels[render.LabelApp], Environment: n.Labels[render.LabelEnvironment]},
		Owner: n.Labels[render.LabelPreview], UID: string(n.UID), Version: n.ResourceVersion, CreatedAt: n.CreationTimestamp.Time,
	}
	if n.DeletionTimestamp != nil {
		s.EndingAt = n.DeletionTimestamp.Time
	}
	return s
}

// noteOwner notes what the record of a preview owns: what was made for it, and while it
// is there what it came into, also when the record that this was made for is forgotten.
func noteOwner(owners map[string]bool, o *v1alpha1.Preview) {
	owners[string(o.UID)] = true
	if p := domainPreview(o); p.There() && p.Owner != "" {
		owners[p.Owner] = true
	}
}

// owners are what the records of all agents in the cluster own, as the API server has
// them at this moment: no cache tells that something is not there.
func (c *Client) owners(ctx context.Context) (map[string]bool, error) {
	owners := map[string]bool{}
	options := metav1.ListOptions{Limit: spacesPerPage}
	for {
		list := &v1alpha1.PreviewList{}
		err := func() error {
			ctx, cancel := bounded(ctx)
			defer cancel()
			return c.clients.custom.Get().Resource(v1alpha1.Previews).VersionedParams(&options, c.clients.codec).Do(ctx).Into(list)
		}()
		if err != nil {
			return nil, fmt.Errorf("listing the records of all previews: %w", err)
		}
		for i := range list.Items {
			noteOwner(owners, &list.Items[i])
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return owners, nil
		}
	}
}

// DeleteSpace asks for the end of a namespace, by its UID and its version, once the API
// server has said that nobody's record owns it.
func (c *Client) DeleteSpace(ctx context.Context, s agent.PreviewSpace) error {
	owners, err := c.owners(ctx)
	if err != nil {
		return err
	}
	if s.Owner == "" || owners[s.Owner] {
		return fmt.Errorf("namespace %s: a preview owns it: %w", s.Namespace, agent.ErrForeign)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	uid, background := types.UID(s.UID), metav1.DeletePropagationBackground
	err = c.clients.core.Namespaces().Delete(ctx, s.Namespace, metav1.DeleteOptions{
		PropagationPolicy: &background, Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &s.Version},
	})
	switch {
	case apierrors.IsNotFound(err):
	case apierrors.IsConflict(err):
		return fmt.Errorf("namespace %s: %w", s.Namespace, agent.ErrConflict)
	case err != nil:
		return err
	}
	c.forgetPlace(s.Namespace)
	return nil
}

// PutUpRails applies the guard rails of p's namespace once more: what nobody has
// changed the API server does not write.
func (c *Client) PutUpRails(ctx context.Context, p agent.Preview) error {
	c.forgetNamespace(p.Namespace)
	return c.ensureNamespace(ctx, agent.Release{Line: p.Line, Namespace: p.Namespace})
}
