package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// looksAtOnce is how many lines are compared with what they should be at the same
// time: after a start of the agent there may be many, and deploys go first.
const looksAtOnce = 2

// deletedField stands in the place of fields of an object that is gone.
const deletedField = "deleted"

// Drifted looks at the objects of r whose marks say that somebody else has
// touched what r wrote, and returns those that a dry run of what r wants would
// change. What turns out to be as it should be is not looked at again until
// somebody touches it again.
func (c *Client) Drifted(ctx context.Context, r agent.Release, policy agent.DriftPolicy, leave func(agent.Object) bool) ([]agent.Drift, error) {
	defer c.forgetIfDeleted(r, c.releaseResource(r))
	touched := c.touched(r, policy, leave)
	if len(touched) == 0 || c.readable(r) != nil {
		return nil, nil
	}
	select {
	case c.looks <- struct{}{}:
		defer func() { <-c.looks }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	found, err := c.drifted(ctx, r, touched)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil, nil // the environment is being removed
	}
	return found, scrubbed(err)
}

// forgetIfDeleted forgets what was noted of the objects of r while somebody deleted
// its record, which was there before.
func (c *Client) forgetIfDeleted(r agent.Release, before *v1alpha1.Release) {
	if before != nil && c.releaseResource(r) == nil {
		c.forgetLeft(r.Namespace, r.Status.Inventory)
	}
}

func (c *Client) drifted(ctx context.Context, r agent.Release, touched []agent.Object) ([]agent.Drift, error) {
	var found []agent.Drift
	p, err := c.wanted(ctx, r, slices.DeleteFunc(render.Holders(r.App), isTask), serving)
	if rejected := (*agent.Rejected)(nil); errors.As(err, &rejected) { // a secret is gone, say
		for _, o := range touched {
			found = append(found, agent.Drift{Object: o, Fields: []string{"changed or deleted"}, Refused: rejected.Message})
		}
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	for _, o := range touched {
		d, err := c.examine(ctx, p, o)
		if err != nil {
			return nil, err
		}
		if d != nil {
			found = append(found, *d)
		}
	}
	return found, nil
}

// examine compares one object with what p wants of it; nil if there is no drift.
func (c *Client) examine(ctx context.Context, p plan, o agent.Object) (*agent.Drift, error) {
	if o.Kind == "Secret" {
		return c.examineSecret(p, o), nil
	}
	i := slices.IndexFunc(p.objects, func(u *unstructured.Unstructured) bool { return reference(u) == o })
	if i < 0 { // of a task, or left by an earlier try
		c.ledger.change(o, func(s *settled) { s.gone = false })
		return nil, nil
	}
	u := p.objects[i]
	kind, _ := c.resource(o.Kind)
	live, err := c.read(ctx, kind, o)
	switch {
	case apierrors.IsNotFound(err):
		live = nil
	case err != nil:
		return nil, fmt.Errorf("reading %s %s: %w", o.Kind, o.Name, err)
	case live.GetDeletionTimestamp() != nil:
		return nil, nil // its end is told by the cache
	}
	drift := &agent.Drift{Object: o, Fields: []string{deletedField}}
	if live != nil {
		if deployment, ok := live.(*appsv1.Deployment); ok {
			if err := keepScale(u, deployment); err != nil {
				return nil, err
			}
		}
		drift.Fields = []string{"changed"}
		if strange := madeByUs(o, live, u.GetLabels()); strange != nil {
			drift.Fields, drift.Refused = []string{"replaced"}, strange.Message
			return drift, nil //nolint:nilerr // because the refusal is what the drift tells
		}
	}
	dry, err := c.send(ctx, u, true)
	if apierrors.IsInvalid(err) && live != nil { // see putBack
		dry, err = c.replaceSpec(ctx, u, live, []string{metav1.DryRunAll})
	}
	if rejected := (*agent.Rejected)(nil); err != nil {
		if err = c.rejected(o, err, redact); !errors.As(err, &rejected) {
			return nil, err
		}
		drift.Refused = rejected.Message
		return drift, nil
	}
	if live == nil {
		return drift, nil
	}
	return c.compare(*drift, live, dry)
}

// compare tells what a dry run would change of live, and who is behind it.
func (c *Client) compare(drift agent.Drift, live, dry object) (*agent.Drift, error) {
	has, err := treeOf(live)
	if err != nil {
		return nil, fmt.Errorf("comparing %s %s: %w", drift.Object.Kind, drift.Object.Name, err)
	}
	should, err := treeOf(dry)
	if err != nil {
		return nil, fmt.Errorf("comparing %s %s: %w", drift.Object.Kind, drift.Object.Name, err)
	}
	all := differences(has, should)
	if dry.GetResourceVersion() != live.GetResourceVersion() { // a controller has written between the two
		wanted := fieldsOwned(dry)
		all = slices.DeleteFunc(all, func(d difference) bool { return !d.path.in(wanted) })
	}
	if len(all) == 0 {
		c.ledger.change(drift.Object, func(s *settled) { s.accepted, s.reported, s.gone = markOf(live), false, false })
		return nil, nil
	}
	c.ledger.change(drift.Object, func(s *settled) { s.looked = markOf(live) })
	drift.Fields = toldDifferences(drift.Object.Kind, all)
	paths := make([]fieldPath, 0, len(all))
	for _, d := range all {
		paths = append(paths, d.path)
	}
	drift.By = cut(printable(strings.Join(owners(live.GetManagedFields(), paths), ", ")), v1alpha1.MaxDriftBy)
	return &drift, nil
}

// examineSecret looks at a Secret that the cache does not have. Its content never
// changes, so that it is there is all there is to know.
func (c *Client) examineSecret(p plan, o agent.Object) *agent.Drift {
	wanted := slices.Contains(p.secrets.references(), o)
	if slices.Contains(p.secrets.own, o.Name) || !wanted && len(p.secrets.fresh) == 0 {
		c.ledger.change(o, func(s *settled) { s.gone = false }) // there after all, or not needed
		return nil
	}
	return &agent.Drift{Object: o, Fields: []string{deletedField}}
}

// madeByUs is sameOwner for an object that a release has in its inventory: it is
// Inhaul's own too if somebody took its labels away.
func madeByUs(at agent.Object, live object, labels map[string]string) *agent.Rejected {
	err := sameOwner(at, live, labels)
	rejected, ok := errors.AsType[*agent.Rejected](err)
	if !ok || slices.ContainsFunc(live.GetManagedFields(), isOurs) {
		return nil
	}
	return rejected
}

// Settle writes the objects of revert as r has them: one write each. A Secret that
// has to be made anew may have another name than before, so everything that
// refers to it is written too. Objects of reported are accepted as they were at
// the last look.
func (c *Client) Settle(ctx context.Context, r agent.Release, revert, reported []agent.Object) error {
	defer c.forgetIfDeleted(r, c.releaseResource(r))
	for _, o := range reported {
		c.ledger.change(o, func(s *settled) { s.accepted, s.reported, s.gone = s.looked, true, false })
	}
	if len(revert) == 0 {
		return nil
	}
	return scrubbed(c.revert(ctx, r, revert))
}

func (c *Client) revert(ctx context.Context, r agent.Release, objects []agent.Object) error {
	if slices.ContainsFunc(objects, func(o agent.Object) bool { return o.Kind == "Secret" }) {
		if _, err := c.apply(ctx, r); err != nil {
			return err
		}
	}
	p, err := c.wanted(ctx, r, slices.DeleteFunc(render.Holders(r.App), isTask), serving)
	if err != nil {
		return err
	}
	for _, u := range p.objects {
		if !slices.Contains(objects, reference(u)) {
			continue
		}
		if deployment, ok := c.cached(u.GetKind(), u.GetNamespace(), u.GetName()).(*appsv1.Deployment); ok {
			if err := keepScale(u, deployment); err != nil {
				return err
			}
		}
		if err := c.putBack(ctx, u, r.Number); err != nil {
			return err
		}
	}
	return nil
}

// touched are the objects of r that may not be as r left them.
func (c *Client) touched(r agent.Release, policy agent.DriftPolicy, leave func(agent.Object) bool) []agent.Object {
	marks := recordedMarks(c.releaseResource(r))
	var touched []agent.Object
	for _, o := range r.Status.Inventory {
		if !leave(o) && c.isTouched(o, marks[o], policy) {
			touched = append(touched, o)
		}
	}
	return touched
}

// isTouched reports whether somebody else may have changed or deleted o since
// this agent wrote it, going by the caches; recorded is its mark then as the
// release has it on record, empty if it has not.
func (c *Client) isTouched(o agent.Object, recorded string, policy agent.DriftPolicy) bool {
	live, watched := c.glanceAt(o)
	if !watched || o.Kind == "Job" { // a task's, which has done its work
		return false
	}
	s, known := c.ledger.of(o)
	switch {
	case live == nil:
		return !known || s.gone // else it was made a moment ago
	case o.Kind == "Secret", live.GetDeletionTimestamp() != nil, c.wasPruned(live), s.behind(live):
		return false
	}
	m, want := markOf(live), recorded
	switch {
	case s.accepted != mark{} && s.accepted == m && (!s.reported || policy == agent.DriftReport):
		return false
	case s.own != "":
		want = s.own
	case want == "": // written by an agent that kept no marks
		return m.foreign != ""
	}
	return m.own != want
}

// noteTouch tells Changed of the lines that an object belongs to.
func (c *Client) noteTouch(o object) {
	releases, err := c.informers["Release"].GetIndexer().ByIndex(indexApp, appKey(o))
	if err != nil {
		return // the index is there: watch makes it
	}
	told := map[agent.Line]bool{}
	for _, release := range releases {
		if line := lineOf(release); !told[line] {
			told[line] = true
			c.changes.note(line)
		}
	}
}

// scrubbed is an error that may be told: what looks like a secret is out of it.
func scrubbed(err error) error {
	if err == nil {
		return nil
	}
	return &scrubbedError{text: redact(err.Error()), cause: err}
}
