package render

import (
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

// service is one service of a release, or its predeploy, under the name of its
// objects.
type service struct {
	spec.Service
	release  agent.Release
	platform Platform
	object   string            // name of its objects
	holder   string            // its name in Platform.Secrets
	labels   map[string]string // of its objects and its pods
}

// services names every service of r, and refuses two that would share the name
// of an object, or the label by which pods are found.
func services(r agent.Release, p Platform) ([]service, error) {
	objects, labels := map[string]string{}, map[string]string{}
	all := make([]service, 0, len(r.App.Services))
	for _, s := range r.App.Services {
		object := Name(r.Line.App, s.Name)
		if s.Type == spec.Job {
			object = CronJobName(r.Line.App, s.Name)
		}
		if other, taken := objects[object]; taken {
			return nil, fmt.Errorf("services %q and %q would both be named %q: rename one", other, s.Name, object)
		}
		if other, taken := labels[label(s.Name)]; taken {
			return nil, fmt.Errorf("services %q and %q would both be labelled %q: rename one", other, s.Name, label(s.Name))
		}
		objects[object], labels[label(s.Name)] = s.Name, s.Name
		s.Domains = p.domains(r.App, s)
		own := appLabels(r)
		own[LabelName], own[LabelService] = label(s.Name), label(s.Name)
		all = append(all, service{Service: s, release: r, platform: p, object: object, holder: s.Name, labels: own})
	}
	return all, nil
}

// meta is the metadata of an object of the service.
func (s service) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.release.Namespace, Labels: maps.Clone(s.labels)}
}

// selector never changes over the life of a Deployment: the API server would
// refuse it.
func (s service) selector() map[string]string {
	return map[string]string{LabelApp: label(s.release.Line.App), LabelService: label(s.Name)}
}

// severalPods reports whether more than one pod of the service may run.
func (s service) severalPods() bool { return max(s.Replicas, s.Scale.Max) > 1 }

// secret is the Secret with the service's secrets; empty if it needs none.
func (s service) secret() (string, error) {
	name := s.platform.Secrets[s.holder]
	if name == "" && len(s.Secrets) > 0 {
		return "", fmt.Errorf("it has secrets, and there is no Secret with their values")
	}
	return name, nil
}
