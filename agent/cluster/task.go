package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// annotationIntent says which intent a task's Job is of. The name of a predeploy's has
// the release's number alone, which an App that was deleted and made anew gives again;
// that of a seed's is the preview's.
const annotationIntent = "inhaul.dev/intent"

// StartTask makes sure that the Job of r's task is there, and before it the
// configuration and the Secret that it needs. It creates the Job, so the API server
// takes one of its name at most; a Job that is there already stays as it is, whatever
// has become of the secrets since. Only a seed's Job that failed, of an earlier
// release, is deleted first. Before it makes one it tries all other objects of r too,
// so that a command is not run for a release that the cluster refuses. A
// *agent.Rejected says that nothing was written, and that nothing will be by asking
// again.
func (c *Client) StartTask(ctx context.Context, r agent.Release, kind agent.TaskKind) ([]agent.Object, error) {
	if err := c.readable(r); err != nil || kind.Of(r.App) == nil {
		return nil, err
	}
	if kind == agent.TaskTeardown {
		if err := c.stillMadeFor(ctx, r); err != nil {
			return nil, err
		}
	}
	job, err := c.taskJob(ctx, r, kind)
	if err == nil && job != nil && kind == agent.TaskSeed && job.Annotations[annotationIntent] != r.Intent {
		job, err = c.earlierSeed(ctx, r, job)
	}
	if err != nil {
		return nil, err
	}
	if job != nil {
		return jobInventory(job), nil
	}
	prepare := c.prepare
	if kind == agent.TaskTeardown {
		prepare = c.try // a namespace that is gone is not made again, and nothing else is written
	} else if _, err := c.prepare(ctx, r, serviceHolders(r), render.Objects); err != nil {
		return nil, err // what would fail the release afterwards fails it before its command has run
	}
	holders := slices.DeleteFunc(render.Holders(r.App), func(h render.Holder) bool { return h.Name != render.TaskHolder(kind) })
	p, err := prepare(ctx, r, holders, func(r agent.Release, on render.Platform) ([]*unstructured.Unstructured, error) {
		objects, err := render.Task(r, kind, on)
		for _, u := range objects {
			if u.GetKind() == "Job" {
				annotations := map[string]string{annotationIntent: r.Intent}
				maps.Copy(annotations, u.GetAnnotations())
				u.SetAnnotations(annotations)
			}
		}
		return objects, err
	})
	if err != nil {
		return nil, err
	}
	if err := c.carryOut(ctx, r, p); err != nil {
		return nil, err
	}
	return p.inventory(), nil
}

// serviceHolders are who needs secrets in r but its tasks.
func serviceHolders(r agent.Release) []render.Holder {
	return slices.DeleteFunc(render.Holders(r.App), isTask)
}

func isTask(h render.Holder) bool {
	return slices.ContainsFunc(agent.TaskKinds(), func(kind agent.TaskKind) bool { return h.Name == render.TaskHolder(kind) })
}

// stillMadeFor fails with agent.ErrForeign if the namespace of r is not that of its
// preview any more, or gone.
func (c *Client) stillMadeFor(ctx context.Context, r agent.Release) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	there, err := c.clients.core.Namespaces().Get(ctx, r.Namespace, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading namespace %s: %w", r.Namespace, err)
	}
	if p, found := c.Preview(r.Line); err != nil || !found || !madeFor(there, p) {
		return fmt.Errorf("namespace %s: %w", r.Namespace, agent.ErrForeign)
	}
	return nil
}

// earlierSeed is the seed's Job of an earlier release if it has ended well: its preview
// is seeded. One that failed is deleted, and there is none then. While it runs, or is
// being deleted, that is an error: it has to end first.
func (c *Client) earlierSeed(ctx context.Context, r agent.Release, job *batchv1.Job) (*batchv1.Job, error) {
	switch {
	case holds(job, batchv1.JobComplete):
		return job, nil
	case !holds(job, batchv1.JobFailed):
		return nil, fmt.Errorf("the seed of an earlier release, Job %s, has not ended yet", job.Name)
	}
	gone, err := c.remove(ctx, agent.Object{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Namespace: job.Namespace, Name: job.Name}, render.Label(r.Line.App))
	if err != nil {
		return nil, fmt.Errorf("deleting Job %s: %w", job.Name, err)
	}
	if !gone {
		return nil, fmt.Errorf("the failed seed of an earlier release, Job %s, is not gone yet", job.Name)
	}
	return nil, nil
}

func holds(job *batchv1.Job, condition batchv1.JobConditionType) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == condition && c.Status == corev1.ConditionTrue
	})
}

// taskJob reads the Job of r's task from the API server; nil if there is none. One of
// that name that is not r's own is a refusal, but for those of a preview.
func (c *Client) taskJob(ctx context.Context, r agent.Release, kind agent.TaskKind) (*batchv1.Job, error) {
	requestCtx, cancel := bounded(ctx)
	defer cancel()
	at := agent.Object{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Namespace: r.Namespace, Name: render.TaskName(r, kind)}
	job, err := c.clients.batch.Jobs(at.Namespace).Get(requestCtx, at.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading Job %s: %w", at.Name, err)
	}
	if err := sameOwner(at, job, appLabels(r)); err != nil {
		return nil, err
	}
	if kind == agent.TaskPredeploy && job.Annotations[annotationIntent] != r.Intent {
		return nil, &agent.Rejected{Object: at, Message: "there is one already, of another release with this number: delete it"}
	}
	return job, nil
}

// jobInventory is a task's Job and what its pod gets its env from.
func jobInventory(job *batchv1.Job) []agent.Object {
	inventory := []agent.Object{{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job", Namespace: job.Namespace, Name: job.Name}}
	for _, container := range job.Spec.Template.Spec.Containers {
		for _, from := range container.EnvFrom {
			if from.ConfigMapRef != nil {
				inventory = append(inventory, agent.Object{APIVersion: "v1", Kind: "ConfigMap", Namespace: job.Namespace, Name: from.ConfigMapRef.Name})
			}
			if from.SecretRef != nil {
				inventory = append(inventory, secretReference(job.Namespace, from.SecretRef.Name))
			}
		}
	}
	slices.SortFunc(inventory, compareObjects)
	return inventory
}

// WatchTask calls see with what the caches show of r's task, at once and then
// whenever something of its app changed, until see returns true (nil) or ctx ends
// (its error). It sends no request.
func (c *Client) WatchTask(ctx context.Context, r agent.Release, kind agent.TaskKind, see func(agent.PredeployObservation) bool) error {
	return c.listen(ctx, r, func() bool {
		job, _ := c.cached("Job", r.Namespace, render.TaskName(r, kind)).(*batchv1.Job)
		return see(observeTask(r, kind, job, ofApp[*corev1.Pod](c, "Pod", r.Namespace, r.Line.App)))
	})
}

// observeTask says how r's task goes. It is pure. job is nil if there is none.
func observeTask(r agent.Release, kind agent.TaskKind, job *batchv1.Job, pods []*corev1.Pod) agent.PredeployObservation {
	if job != nil && !countsFor(r, kind, job) {
		job = nil
	}
	return observeJob(render.TaskName(r, kind), job, pods)
}

// observeJob says how the Job of that name goes, which is nil if there is none.
func observeJob(name string, job *batchv1.Job, pods []*corev1.Pod) agent.PredeployObservation {
	o := agent.PredeployObservation{Name: name}
	if job == nil {
		o.Missing = true
		o.Pods = leftPods(o.Name, pods)
		return o
	}
	if job.Status.StartTime != nil {
		o.StartedAt = job.Status.StartTime.UTC()
	}
	for _, condition := range job.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			o.Succeeded = true
		case batchv1.JobFailed:
			o.Failed, o.Reason = true, condition.Reason
		case batchv1.JobFailureTarget: // it will fail; its pods are still ending
			o.Reason = condition.Reason
		case batchv1.JobSuspended, batchv1.JobSuccessCriteriaMet:
		}
	}
	// A Job that somebody deletes never ends.
	o.Missing = job.DeletionTimestamp != nil && !o.Succeeded && !o.Failed
	if o.Missing {
		o.Pods = leftPods(o.Name, pods)
		return o
	}
	for _, pod := range pods {
		if metav1.IsControlledBy(pod, job) {
			o.Pods = append(o.Pods, observePod(pod))
		}
	}
	slices.SortFunc(o.Pods, comparePods)
	return o
}

// countsFor reports whether job is that of r's task: its own, or of a preview's the one
// that did the work. A failed seed of an earlier release is still in a cache that is
// late.
func countsFor(r agent.Release, kind agent.TaskKind, job *batchv1.Job) bool {
	own := job.Annotations[annotationIntent] == r.Intent
	return own || kind == agent.TaskTeardown || kind == agent.TaskSeed && holds(job, batchv1.JobComplete)
}

// leftPods are the pods of a Job of that name, which is gone, that have not ended
// yet: the garbage collector tells them to.
func leftPods(job string, pods []*corev1.Pod) []agent.PodObservation {
	var left []agent.PodObservation
	for _, pod := range pods {
		owner := metav1.GetControllerOf(pod)
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if owner != nil && owner.Kind == "Job" && owner.Name == job && !ended {
			left = append(left, observePod(pod))
		}
	}
	slices.SortFunc(left, comparePods)
	return left
}
