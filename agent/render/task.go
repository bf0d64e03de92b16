package render

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// Task returns the Job that runs a task of r, named by TaskName, and the ConfigMap
// that it needs, in the order of Allowed; nil if r has none.
//
// The Job is never tried again, and nothing but a prune deletes it: as long as
// it is there, the command cannot run a second time.
func Task(r agent.Release, kind agent.TaskKind, p Platform) ([]*unstructured.Unstructured, error) {
	if kind.Of(r.App) == nil {
		return nil, nil
	}
	s := task(r, kind, p)
	job, err := s.job(0, s.Schedule.Limit())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	meta := s.meta(TaskName(r, kind))
	meta.Annotations = s.releaseAnnotations()
	delete(meta.Annotations, AnnotationService) // it is not one
	made := set{}
	if len(s.Env) > 0 {
		made.add("ConfigMap", s.configMap())
	}
	made.add("Job", &batchv1.Job{ObjectMeta: meta, Spec: job})
	return made.objects()
}

// task is the one of that kind as if it were a job of the app. Its names have a dot,
// so that they are no service's.
func task(r agent.Release, kind agent.TaskKind, p Platform) service {
	task := kind.Of(r.App)
	labels := appLabels(r)
	labels[LabelName], labels[LabelTask] = string(kind), string(kind)
	return service{
		Service: spec.Service{
			Name: string(kind), Type: spec.Job, Run: task.Run, CPU: task.CPU, Memory: task.Memory,
			Env: task.Env, Secrets: task.Secrets, Schedule: spec.Schedule{Deadline: task.Limit().String()},
		},
		release:  r,
		platform: p,
		object:   label(r.Line.App) + "." + string(kind),
		holder:   TaskHolder(kind),
		labels:   labels,
	}
}
