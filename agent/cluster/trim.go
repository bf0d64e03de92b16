package cluster

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent/render"
)

// contentKey is where a trimmed ConfigMap keeps the hash of its data.
const contentKey = "inhaul.dev/content"

// trim drops from an object, on its way into the cache, what the agent never
// reads. Deployments, Services, budgets and policies stay whole but for their
// managed fields: Apply compares them with a dry run.
func trim(o any) (any, error) {
	switch typed := o.(type) {
	case *corev1.Pod:
		return trimPod(typed), nil
	case *appsv1.ReplicaSet:
		return trimReplicaSet(typed), nil
	case *discoveryv1.EndpointSlice:
		return trimSlice(typed), nil
	case *batchv1.Job:
		return trimJob(typed), nil
	case *corev1.ConfigMap:
		typed.Data = map[string]string{contentKey: render.ConfigHash(typed.Data)}
		typed.BinaryData = nil
	}
	if typed, ok := o.(metav1.Object); ok {
		typed.SetManagedFields(nil)
	}
	return o, nil
}

// trimMeta keeps what identifies an object and its owner.
func trimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
		Labels: m.Labels, OwnerReferences: m.OwnerReferences,
	}
}

func trimPod(p *corev1.Pod) *corev1.Pod {
	trimmed := &corev1.Pod{ObjectMeta: trimMeta(p.ObjectMeta)}
	for _, c := range p.Spec.Containers {
		kept := corev1.Container{Name: c.Name}
		if limit, limited := c.Resources.Limits[corev1.ResourceMemory]; limited {
			kept.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: limit}
		}
		trimmed.Spec.Containers = append(trimmed.Spec.Containers, kept)
	}
	trimmed.Status.Phase = p.Status.Phase
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady || condition.Type == corev1.PodScheduled {
			trimmed.Status.Conditions = append(trimmed.Status.Conditions, condition)
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		trimmed.Status.ContainerStatuses = append(trimmed.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: s.Name, State: s.State, LastTerminationState: s.LastTerminationState, RestartCount: s.RestartCount,
		})
	}
	return trimmed
}

func trimReplicaSet(r *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	trimmed := &appsv1.ReplicaSet{ObjectMeta: trimMeta(r.ObjectMeta)}
	trimmed.Annotations = map[string]string{
		render.AnnotationRelease: r.Annotations[render.AnnotationRelease],
		annotationRevision:       r.Annotations[annotationRevision],
	}
	for _, condition := range r.Status.Conditions {
		if condition.Type == appsv1.ReplicaSetReplicaFailure {
			trimmed.Status.Conditions = append(trimmed.Status.Conditions, condition)
		}
	}
	return trimmed
}

func trimJob(j *batchv1.Job) *batchv1.Job {
	trimmed := &batchv1.Job{ObjectMeta: trimMeta(j.ObjectMeta)}
	trimmed.Annotations = map[string]string{annotationIntent: j.Annotations[annotationIntent]}
	trimmed.Status.StartTime = j.Status.StartTime
	for _, condition := range j.Status.Conditions {
		switch condition.Type {
		case batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget:
			trimmed.Status.Conditions = append(trimmed.Status.Conditions, condition)
		case batchv1.JobSuspended, batchv1.JobSuccessCriteriaMet:
		}
	}
	return trimmed
}

func trimSlice(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	trimmed := &discoveryv1.EndpointSlice{ObjectMeta: trimMeta(s.ObjectMeta)}
	for _, e := range s.Endpoints {
		trimmed.Endpoints = append(trimmed.Endpoints, discoveryv1.Endpoint{
			Conditions: discoveryv1.EndpointConditions{Ready: e.Conditions.Ready}, TargetRef: e.TargetRef,
		})
	}
	return trimmed
}
