package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// dryRunsAtOnce is how many dry runs of one release are on their way together.
const dryRunsAtOnce = 4

// Objects names the objects of r in the order in which they are written. Secrets
// are not among them: their names stand for their content, which nobody has read
// yet.
func (c *Client) Objects(ctx context.Context, r agent.Release) ([]agent.Object, error) {
	if err := c.readable(r); err != nil {
		return nil, err
	}
	if err := c.makeable(r); err != nil {
		return nil, err
	}
	platform, err := c.platform(ctx, r)
	if err != nil {
		return nil, err
	}
	platform.Secrets = map[string]string{}
	for _, h := range render.Holders(r.App) { // no other object's name depends on them
		platform.Secrets[h.Name] = render.SecretName(r.Line.App, h.Name, "")
	}
	objects, err := rendered(r, platform, render.Objects)
	if err != nil {
		return nil, err
	}
	references := make([]agent.Object, 0, len(objects))
	for _, u := range objects {
		references = append(references, reference(u))
	}
	return references, nil
}

// renderer is a function of package render.
type renderer func(agent.Release, render.Platform) ([]*unstructured.Unstructured, error)

// rendered are the objects that a renderer makes of r; an error is a
// *agent.Rejected.
func rendered(r agent.Release, on render.Platform, objects renderer) ([]*unstructured.Unstructured, error) {
	all, err := objects(r, on)
	if err != nil {
		return nil, refused(r, err.Error())
	}
	return all, nil
}

// refused is the refusal of r as a whole.
func refused(r agent.Release, why string) *agent.Rejected {
	return &agent.Rejected{Object: agent.Object{Kind: "App", Namespace: r.Namespace, Name: r.Line.App}, Message: why}
}

// Apply writes the release's objects, all but those of its tasks, and returns the
// inventory: those objects, what r has in its inventory already, and what an
// earlier attempt has left behind that no release knows of. All objects are tried
// in a dry run first: *agent.Rejected says that one was refused or a secret is
// missing, and nothing was written. Objects that are as they should be are not
// touched, and each Deployment is written once: writing it twice within
// milliseconds makes its controller lose status.
//
// Any other error may leave a part written; applying again completes it. It may be
// told: what looks like a secret is taken out of it.
func (c *Client) Apply(ctx context.Context, r agent.Release) ([]agent.Object, error) {
	inventory, err := c.apply(ctx, r)
	if rejected := (*agent.Rejected)(nil); !errors.As(err, &rejected) {
		err = scrubbed(err)
	}
	return inventory, err
}

func (c *Client) apply(ctx context.Context, r agent.Release) ([]agent.Object, error) {
	if err := c.readable(r); err != nil {
		return nil, err
	}
	holders := slices.DeleteFunc(render.Holders(r.App), isTask)
	p, err := c.prepare(ctx, r, holders, render.Objects)
	if err != nil {
		return nil, err
	}
	inventory, recorded := p.inventory(), c.recorded(r)
	p.stale = staleScalers(recorded, inventory)
	if err := c.carryOut(ctx, r, p); err != nil {
		return nil, err
	}
	return with(inventory, slices.Concat(r.Status.Inventory, c.orphans(r, p, recorded))...), nil
}

// plan is what has to be written of a release.
type plan struct {
	secrets sealed
	objects []*unstructured.Unstructured
	writes  []bool   // which of objects are not as they should be
	kept    []object // of the others, what they are
	stale   []agent.Object
}

// prepare makes a plan: everything in it was tried. A namespace, or a kind that
// the cluster had when it was asked last, may be gone since; it is looked for
// once more.
func (c *Client) prepare(ctx context.Context, r agent.Release, holders []render.Holder, objects renderer) (plan, error) {
	p, err := c.try(ctx, r, holders, objects)
	if apierrors.IsNotFound(err) {
		c.forgetPlace(r.Namespace)
		if err := c.ensureNamespace(ctx, r); err != nil {
			return plan{}, err
		}
		p, err = c.try(ctx, r, holders, objects)
	}
	return p, err
}

// wanted is a plan of which nothing was tried.
func (c *Client) wanted(ctx context.Context, r agent.Release, holders []render.Holder, objects renderer) (p plan, err error) {
	if err := c.makeable(r); err != nil {
		return plan{}, err
	}
	platform, err := c.platform(ctx, r)
	if err != nil {
		return plan{}, err
	}
	if p.secrets, err = c.seal(ctx, r, holders); err != nil {
		return plan{}, err
	}
	platform.Secrets = p.secrets.names
	p.objects, err = rendered(r, platform, objects)
	return p, err
}

func (c *Client) try(ctx context.Context, r agent.Release, holders []render.Holder, objects renderer) (plan, error) {
	p, err := c.wanted(ctx, r, holders, objects)
	if err != nil {
		return plan{}, err
	}
	if err := c.crowded(ctx, r, p.objects); err != nil {
		return plan{}, err
	}
	p.writes, p.kept = make([]bool, len(p.objects)), make([]object, len(p.objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(dryRunsAtOnce)
	for _, secret := range p.secrets.fresh {
		group.Go(func() error { return c.create(ctx, secret, true, p.secrets) })
	}
	for i, u := range p.objects {
		group.Go(func() (err error) {
			p.kept[i], err = c.asWanted(ctx, u)
			p.writes[i] = p.kept[i] == nil
			return err
		})
	}
	return p, group.Wait()
}

// carryOut writes what p has of r: Secrets first, for what needs them would fail
// without. Only they can be refused still (*agent.Rejected: by a quota that two of
// them exceed together), and nothing that runs has changed then.
func (c *Client) carryOut(ctx context.Context, r agent.Release, p plan) error {
	for _, secret := range p.secrets.fresh {
		if err := c.create(ctx, secret, false, p.secrets); err != nil {
			return fmt.Errorf("making Secret %s: %w", secret.Name, err)
		}
		c.ledger.change(secretReference(secret.Namespace, secret.Name), func(s *settled) { *s = settled{release: r.Number} })
		c.log.Debug("object applied", "kind", "Secret", "namespace", secret.Namespace, "name", secret.Name)
	}
	for _, o := range p.stale {
		if _, err := c.remove(ctx, o, render.Label(r.Line.App)); err != nil {
			return fmt.Errorf("deleting %s %s: %w", o.Kind, o.Name, err)
		}
	}
	for i, u := range p.objects {
		if !p.writes[i] {
			c.ledger.settle(reference(u), p.kept[i], r.Number, false)
			continue
		}
		if err := c.write(ctx, u, r.Number); err != nil {
			return err
		}
	}
	return nil
}

// write sends an object of a release and notes how that has left it.
func (c *Client) write(ctx context.Context, u *unstructured.Unstructured, number int) error {
	written, err := c.send(ctx, u, false)
	if err == nil {
		written, err = c.disown(ctx, reference(u), written)
	}
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	c.ledger.settle(reference(u), written, number, true)
	c.log.Debug("object applied", "kind", u.GetKind(), "namespace", u.GetNamespace(), "name", u.GetName())
	return nil
}

// inventory lists what p consists of, Secrets last.
func (p plan) inventory() []agent.Object {
	inventory := make([]agent.Object, 0, len(p.objects)+len(p.secrets.names))
	for _, u := range p.objects {
		inventory = append(inventory, reference(u))
	}
	return with(inventory, p.secrets.references()...)
}

// with is inventory and those of more that are not in it.
func with(inventory []agent.Object, more ...agent.Object) []agent.Object {
	for _, o := range more {
		if !slices.Contains(inventory, o) {
			inventory = append(inventory, o)
		}
	}
	return inventory
}

// recorded is everything in the inventories of the releases of r's line, and of
// r itself.
func (c *Client) recorded(r agent.Release) []agent.Object {
	recorded := slices.Clone(r.Status.Inventory)
	for _, other := range c.Releases(r.Line) {
		recorded = append(recorded, other.Status.Inventory...)
	}
	return recorded
}

// orphans are the objects of r's app that no inventory has: an agent died, or
// was overtaken, between writing them and saying so. Whoever comes next takes
// them over, so that they are pruned one day.
func (c *Client) orphans(r agent.Release, p plan, recorded []agent.Object) []agent.Object {
	known := map[agent.Object]bool{}
	for _, o := range slices.Concat(recorded, p.inventory()) {
		known[o] = true
	}
	var orphans []agent.Object
	for _, name := range p.secrets.own {
		if o := secretReference(r.Namespace, name); !known[o] {
			orphans = append(orphans, o)
		}
	}
	for _, gvk := range render.Allowed() {
		if c.informers[gvk.Kind] == nil {
			continue
		}
		for _, o := range ofApp[object](c, gvk.Kind, r.Namespace, r.Line.App) {
			at := agent.Object{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Namespace: r.Namespace, Name: o.GetName()}
			if !known[at] && o.GetDeletionTimestamp() == nil && !c.wasPruned(o) {
				orphans = append(orphans, at)
			}
		}
	}
	slices.SortFunc(orphans, compareObjects)
	return orphans
}

// asWanted returns what the cluster has of u, nil if that is something else than u
// or nothing. It fails if u may not be written.
func (c *Client) asWanted(ctx context.Context, u *unstructured.Unstructured) (object, error) {
	at := reference(u)
	live, err := c.live(ctx, at)
	if err != nil {
		return nil, err
	}
	if live != nil {
		if err := sameOwner(at, live, u.GetLabels()); err != nil {
			return nil, err
		}
		if live.GetDeletionTimestamp() != nil { // what is written to it now goes with it
			return nil, fmt.Errorf("%s %s is still being deleted", at.Kind, at.Name)
		}
		if c.hasContent(live, u) {
			return live, nil
		}
	}
	if deployment, ok := live.(*appsv1.Deployment); ok {
		if err := keepScale(u, deployment); err != nil {
			return nil, err
		}
	}
	dry, err := c.send(ctx, u, true)
	if err != nil {
		return nil, c.rejected(at, err, redact)
	}
	exists := dry.GetResourceVersion() != ""
	if live == nil && exists {
		return nil, c.mayTake(ctx, at, u.GetLabels())
	}
	// Equal content is not enough: the cache may show what was there before this
	// process's last write. The dry run has the resource version of the truth.
	if live == nil || dry.GetResourceVersion() != live.GetResourceVersion() || !sameContent(live, dry) {
		return nil, nil
	}
	return dry, nil
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
