package cluster

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

var _ agent.Clones = (*Client)(nil)

// StartClone makes sure that the Job which fills database d of r is there, in the
// namespace that the platform owner says, and with it the Secret that has the URL of
// the database, which goes with the Job. Nothing is made for a database that has been
// filled: that is on record in the preview's namespace, for the Job does not stay.
func (c *Client) StartClone(ctx context.Context, r agent.Release, d spec.Database) error {
	hook := c.previewPolicy(r).Clone
	if hook == nil || c.cloned(r, d) {
		return nil
	}
	credentials, err := c.credentialsOf(ctx, r, d)
	if err != nil {
		return err
	}
	preview, _ := c.Preview(r.Line)
	job := render.Clone(r, d, render.CloneName(string(credentials.UID), r, d), preview.UID, *hook)
	at := agent.Object{APIVersion: "batch/v1", Kind: "Job", Namespace: job.Namespace, Name: job.Name}
	requestCtx, cancel := bounded(ctx)
	defer cancel()
	made, err := c.clients.batch.Jobs(job.Namespace).Create(requestCtx, job, metav1.CreateOptions{FieldManager: render.Manager})
	if apierrors.IsAlreadyExists(err) {
		made, err = c.clients.batch.Jobs(job.Namespace).Get(requestCtx, job.Name, metav1.GetOptions{})
		if err == nil && made.Labels[render.LabelPreview] != preview.UID {
			return &agent.Rejected{Object: at, Message: "there is one already in namespace " + at.Namespace + ", and Inhaul did not make it: delete it"}
		}
	}
	if err != nil {
		return cloneRejected(c, at, err)
	}
	return c.makeTarget(ctx, made, credentials)
}

// makeTarget makes the Secret with the URL of the database. The pod waits for it. It
// is owned by the Job, so that whoever deletes that deletes it.
func (c *Client) makeTarget(ctx context.Context, job *batchv1.Job, credentials *corev1.Secret) error {
	immutable := true
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: job.Name, Namespace: job.Namespace, Labels: render.CloneLabels(job.Labels[render.LabelPreview]),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID}},
		},
		Immutable: &immutable,
		Data:      map[string][]byte{render.CredentialsURL: credentials.Data[render.CredentialsURL]},
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.clients.core.Secrets(job.Namespace).Create(ctx, secret, metav1.CreateOptions{FieldManager: render.Manager})
	if err == nil || apierrors.IsAlreadyExists(err) {
		return nil
	}
	values := sealed{values: map[string]struct{}{}}
	for _, value := range credentials.Data {
		values.values[string(value)] = struct{}{}
	}
	err = cloneRejected(c, secretReference(secret.Namespace, secret.Name), err)
	if rejected := (*agent.Rejected)(nil); errors.As(err, &rejected) {
		rejected.Message = values.scrub(rejected.Message)
		return rejected
	}
	return &scrubbedError{text: values.scrub(err.Error()), cause: err}
}

// cloneRejected is rejected, and says so where it is the namespace that is missing:
// asking again is of no use then.
func cloneRejected(c *Client, at agent.Object, err error) error {
	if apierrors.IsNotFound(err) {
		return &agent.Rejected{Object: at, Message: fmt.Sprintf("there is no namespace %s: the platform owner makes it, or changes spec.previews.clone of the App", at.Namespace)}
	}
	return c.rejected(at, err, redact)
}

// credentialsOf reads the credentials of a database, which was started before.
func (c *Client) credentialsOf(ctx context.Context, r agent.Release, d spec.Database) (*corev1.Secret, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	name := render.CredentialsName(r.Line.App, d)
	secret, err := c.clients.core.Secrets(r.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, &agent.Rejected{Object: secretReference(r.Namespace, name), Message: "database " + d.Name + " has no credentials: somebody has deleted them"}
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	return secret, nil
}

// cloned reports whether database d of r has been filled.
func (c *Client) cloned(r agent.Release, d spec.Database) bool {
	return c.cached("ConfigMap", r.Namespace, render.ClonedName(r, d)) != nil
}

// WatchClone calls see with how the Job goes that fills database d of r, at once and
// then on every change, until see returns true (nil) or ctx ends (its error). That it
// ended well is durable before see is told.
func (c *Client) WatchClone(ctx context.Context, r agent.Release, d spec.Database, see func(agent.PredeployObservation) bool) error {
	hook := c.previewPolicy(r).Clone
	if hook == nil || c.cloned(r, d) {
		see(agent.PredeployObservation{Succeeded: true})
		return nil
	}
	credentials, err := c.credentialsOf(ctx, r, d)
	if err != nil {
		return err
	}
	name := render.CloneName(string(credentials.UID), r, d)
	rung, stop := c.bells.listen(namespacedApp(hook.Namespace, ""))
	defer stop()
	for {
		job, _ := c.cached("Job", hook.Namespace, name).(*batchv1.Job)
		o := observeJob(name, job, c.podsOf(job))
		if o.Succeeded {
			if err := c.noteCloned(ctx, r, d); err != nil {
				return err
			}
		}
		if see(o) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
		}
	}
}

// podsOf are the cached pods of a Job that has no app.
func (c *Client) podsOf(job *batchv1.Job) []*corev1.Pod {
	if job == nil {
		return nil
	}
	found, err := c.informers["Pod"].GetIndexer().ByIndex(indexApp, namespacedApp(job.Namespace, ""))
	if err != nil {
		return nil // the index is there: watch makes it
	}
	var all []*corev1.Pod
	for _, o := range found {
		if pod, ok := o.(*corev1.Pod); ok {
			all = append(all, pod)
		}
	}
	return all
}

// noteCloned makes it durable that database d of r has been filled. The note is in no
// release's inventory: it goes with the database, when the preview ends.
func (c *Client) noteCloned(ctx context.Context, r agent.Release, d spec.Database) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	_, err := c.clients.core.ConfigMaps(r.Namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: render.ClonedName(r, d), Namespace: r.Namespace, Labels: appLabels(r),
			Annotations: map[string]string{"kubernetes.io/description": "The database has been filled from its source. It is not a second time."},
		},
	}, metav1.CreateOptions{FieldManager: render.Manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("noting that database %s is filled: %w", d.Name, err)
	}
	return nil
}
