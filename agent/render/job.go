package render

import (
	"cmp"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/spec"
)

// startingDeadlineSeconds is how late a run may start when the control plane was
// away at its time; what is later is left out. It also bounds how far back the
// controller looks for runs that it missed: without it a job that is due every
// minute would have missed more than a hundred after two hours, which the
// controller takes for a broken clock. Below 10 seconds it would start nothing.
//
// https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#starting-deadline
const startingDeadlineSeconds = 600

// defaultTimezone is that of a job that names none. The node's own, which
// Kubernetes would take, is nobody's.
const defaultTimezone = "Etc/UTC"

// never is a schedule that Kubernetes accepts and that has no date: the 31st of
// February. A manual job is suspended besides.
const never = "0 0 31 2 *"

// cronJob runs the job when it is due. One without a schedule is suspended and
// waits to be asked: kubectl create job --from=cronjob/NAME.
//
// There is no TTL: the history limits keep the last runs, which a TTL would
// delete behind their back.
func (s service) cronJob() (*batchv1.CronJob, error) {
	job, err := s.job(s.Schedule.Retries, s.Schedule.Limit())
	if err != nil {
		return nil, err
	}
	meta := s.meta(s.object)
	meta.Annotations = map[string]string{AnnotationService: s.Name}
	schedule, manual := s.Schedule.Cron, s.Schedule.Cron == ""
	if manual {
		schedule = never
		meta.Annotations[AnnotationManual] = "true"
	}
	suspended := manual || s.release.Asleep
	history := int32(cmp.Or(s.Schedule.History, spec.DefaultHistory)) //nolint:gosec // because spec bounds it
	return &batchv1.CronJob{
		ObjectMeta: meta,
		Spec: batchv1.CronJobSpec{
			Schedule:                   schedule,
			TimeZone:                   new(cmp.Or(s.Schedule.Timezone, defaultTimezone)),
			StartingDeadlineSeconds:    new(int64(startingDeadlineSeconds)),
			ConcurrencyPolicy:          concurrency(s.Schedule.Overlap),
			Suspend:                    &suspended,
			SuccessfulJobsHistoryLimit: &history,
			FailedJobsHistoryLimit:     &history,
			JobTemplate:                batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: s.labels}, Spec: job},
		},
	}, nil
}

func concurrency(o spec.Overlap) batchv1.ConcurrencyPolicy {
	switch o {
	case spec.Allow:
		return batchv1.AllowConcurrent
	case spec.Replace:
		return batchv1.ReplaceConcurrent
	case spec.Forbid:
	}
	return batchv1.ForbidConcurrent
}

// job runs the service's command to its end: one pod at a time, a new one for
// every retry, all within limit.
func (s service) job(retries int, limit time.Duration) (batchv1.JobSpec, error) {
	pod, err := s.pod()
	if err != nil {
		return batchv1.JobSpec{}, err
	}
	pod.RestartPolicy = corev1.RestartPolicyNever // a retry is a new pod: the log of the one that failed stays
	return batchv1.JobSpec{
		BackoffLimit:          new(int32(retries)), //nolint:gosec // because spec bounds it
		ActiveDeadlineSeconds: new(seconds(limit)),
		// Else a pod that is still ending, on a node that is being drained, would
		// have its successor run beside it.
		PodReplacementPolicy: new(batchv1.Failed),
		Template:             corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: s.labels}, Spec: pod},
	}, nil
}
