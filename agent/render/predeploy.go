package render

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// taskPredeploy is what the predeploy is called in names and labels.
const taskPredeploy = "predeploy"

// Predeploy returns the Job that runs the predeploy of r, named by
// PredeployName, and the ConfigMap that it needs, in the order of Allowed; nil
// if r has none.
//
// The Job is never tried again, and nothing but a prune deletes it: as long as
// it is there, the command cannot run a second time.
func Predeploy(r agent.Release, p Platform) ([]*unstructured.Unstructured, error) {
	if r.App.Predeploy == nil {
		return nil, nil
	}
	s := predeploy(r, p)
	job, err := s.job(0, s.Schedule.Limit())
	if err != nil {
		return nil, fmt.Errorf("predeploy: %w", err)
	}
	meta := s.meta(PredeployName(r))
	meta.Annotations = s.releaseAnnotations()
	delete(meta.Annotations, AnnotationService) // it is not one
	made := set{}
	if len(s.Env) > 0 {
		made.add("ConfigMap", s.configMap())
	}
	made.add("Job", &batchv1.Job{ObjectMeta: meta, Spec: job})
	return made.objects()
}

// predeploy is the task as if it were a job of the app. Its names have a dot, so
// that they are no service's.
func predeploy(r agent.Release, p Platform) service {
	task := r.App.Predeploy
	labels := appLabels(r)
	labels[LabelName], labels[LabelTask] = taskPredeploy, taskPredeploy
	return service{
		Service: spec.Service{
			Name: taskPredeploy, Type: spec.Job, Run: task.Run, CPU: task.CPU, Memory: task.Memory,
			Env: task.Env, Secrets: task.Secrets, Schedule: spec.Schedule{Deadline: task.Limit().String()},
		},
		release:  r,
		platform: p,
		object:   label(r.Line.App) + "." + taskPredeploy,
		holder:   HolderPredeploy,
		labels:   labels,
	}
}
