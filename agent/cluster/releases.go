package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/api/v1alpha1"
)

// CreateRelease makes r durable, after making sure of its namespace. Its status
// is Pending with the moments of r's timeline, whatever else r.Status says.
// *agent.Rejected says that the API server will never take it.
func (c *Client) CreateRelease(ctx context.Context, r agent.Release) (agent.Release, error) {
	if err := c.ensureNamespace(ctx, r); err != nil {
		return agent.Release{}, err
	}
	created, err := c.createRelease(ctx, r)
	if apierrors.IsNotFound(err) { // the namespace was deleted since it was ensured
		c.forgetNamespace(r.Namespace)
		if err := c.ensureNamespace(ctx, r); err != nil {
			return agent.Release{}, err
		}
		created, err = c.createRelease(ctx, r)
	}
	if apierrors.IsAlreadyExists(err) {
		return agent.Release{}, fmt.Errorf("creating release %s: %w", releaseName(r), agent.ErrExists)
	}
	if apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) {
		return agent.Release{}, &agent.Rejected{
			Object:  agent.Object{Kind: "Release", Namespace: r.Namespace, Name: releaseName(r)},
			Message: cut(redact(err.Error()), maxRejection),
		}
	}
	if err != nil {
		return agent.Release{}, fmt.Errorf("creating release %s: %w", releaseName(r), err)
	}
	c.releases.wrote(created)
	return domainRelease(created), nil
}

func (c *Client) createRelease(ctx context.Context, r agent.Release) (*v1alpha1.Release, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	r.Version = "" // the API server gives the first
	o := releaseResource(r)
	if err := keepEarlyTimeline(o); err != nil {
		return nil, err
	}
	o.Status = v1alpha1.ReleaseStatus{}
	created := &v1alpha1.Release{}
	err := c.clients.custom.Post().Namespace(o.Namespace).Resource(v1alpha1.Releases).
		VersionedParams(&metav1.CreateOptions{FieldManager: render.Manager}, c.clients.codec).
		Body(o).Do(ctx).Into(created)
	return created, err
}

// UpdateRelease makes r.Status durable. ErrConflict means that r.Version is old.
// A change of phase becomes an event too.
func (c *Client) UpdateRelease(ctx context.Context, r agent.Release) (agent.Release, error) {
	before := c.phase(r)
	requestCtx, cancel := bounded(ctx)
	defer cancel()
	updated := &v1alpha1.Release{}
	err := c.clients.custom.Put().Namespace(r.Namespace).Resource(v1alpha1.Releases).Name(releaseName(r)).SubResource("status").
		VersionedParams(&metav1.UpdateOptions{FieldManager: render.Manager}, c.clients.codec).
		Body(releaseResource(r)).Do(requestCtx).Into(updated)
	if apierrors.IsConflict(err) {
		return agent.Release{}, fmt.Errorf("updating release %s: %w", releaseName(r), agent.ErrConflict)
	}
	if err != nil {
		return agent.Release{}, fmt.Errorf("updating release %s: %w", releaseName(r), err)
	}
	updated.SetManagedFields(nil)
	c.releases.wrote(updated)
	if agent.Phase(updated.Status.Phase) != before {
		c.events.record(updated, c.now())
	}
	return domainRelease(updated), nil
}

// phase is the phase of r before a write of this process.
func (c *Client) phase(r agent.Release) agent.Phase {
	for _, known := range c.Releases(r.Line) {
		if known.Number == r.Number {
			return known.Status.Phase
		}
	}
	return ""
}

// Releases returns the kept releases of a line, oldest first, this process's own
// writes included.
func (c *Client) Releases(line agent.Line) []agent.Release {
	found, err := c.informers["Release"].GetIndexer().ByIndex(indexLine, lineKey(line))
	if err != nil {
		return nil // the index is there: watch makes it
	}
	cached := make([]object, 0, len(found))
	for _, o := range found {
		cached = append(cached, last(o))
	}
	var releases []agent.Release
	for _, o := range c.releases.merge(cached, func(o object) bool { return lineOf(o) == line }) {
		if release, ok := o.(*v1alpha1.Release); ok {
			releases = append(releases, domainRelease(release))
		}
	}
	slices.SortFunc(releases, func(a, b agent.Release) int { return cmp.Compare(a.Number, b.Number) })
	return releases
}

// Changed delivers the line of every release that was made, changed or deleted.
// Lines that change faster than they are read are delivered once. Every call
// returns the same channel; Start closes it at its end.
func (c *Client) Changed() <-chan agent.Line { return c.changes.out }

// Trim deletes the release record; one that is gone already is fine. One that has
// changed since r was read is not: ErrConflict.
func (c *Client) Trim(ctx context.Context, r agent.Release) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := c.clients.custom.Delete().Namespace(r.Namespace).Resource(v1alpha1.Releases).Name(releaseName(r)).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &r.Version}}).Do(ctx).Error()
	if apierrors.IsConflict(err) {
		return fmt.Errorf("deleting release %s: %w", releaseName(r), agent.ErrConflict)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting release %s: %w", releaseName(r), err)
	}
	key := types.NamespacedName{Namespace: r.Namespace, Name: releaseName(r)}
	c.releases.deleted(key, c.cached("Release", key.Namespace, key.Name))
	return nil
}
