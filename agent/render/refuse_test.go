package render

import (
	"strings"
	"testing"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

func TestObjectsRefuses(t *testing.T) {
	t.Parallel()
	worker := func(name string) spec.Service {
		return spec.Service{Name: name, Type: spec.Worker, Replicas: 1, CPU: "1", Memory: "1Gi"}
	}
	job := func(name string) spec.Service {
		return spec.Service{Name: name, Type: spec.Job, CPU: "1", Memory: "1Gi"}
	}
	with := func(s spec.Service, change func(*spec.Service)) spec.Service {
		change(&s)
		return s
	}
	queue := func(q spec.Queue) spec.Service {
		return with(worker("a"), func(s *spec.Service) {
			s.Scale = spec.Scale{Min: 1, Max: 2, Queue: q}
			s.Env = map[string]string{"REDIS_URL": "redis://cache", "SENTINELS": "redis-sentinel://a", "ACCOUNT": "redis://u:p@cache"}
			s.Secrets = map[string]string{"SECRET_URL": "k8s://a#b"}
		})
	}
	keda := Platform{KEDA: true, Secrets: map[string]string{"a": "a"}}
	long := strings.Repeat("long", 15)
	tests := map[string]struct {
		platform Platform
		services []spec.Service
		want     string
	}{
		"two services of one name": {
			Platform{},
			[]spec.Service{worker("mail_sender"), worker("mail-sender")},
			`services "mail_sender" and "mail-sender" would both be named "shop-mail-sender": rename one`,
		},
		"a service and a job of one name": {
			Platform{},
			[]spec.Service{worker("mail_sender"), job("mail-sender")},
			`services "mail_sender" and "mail-sender" would both be named "shop-mail-sender": rename one`,
		},
		"two services whose pods would be taken for each other's": {
			Platform{},
			[]spec.Service{worker(long + "_x"), worker(long + "-x")},
			`services "` + long + `_x" and "` + long + `-x" would both be labelled "` + long + `-x": rename one`,
		},
		"a cpu that is no quantity": {
			Platform{},
			[]spec.Service{with(worker("a"), func(s *spec.Service) { s.CPU = "fast" })},
			`service "a": reading cpu "fast"`,
		},
		"a memory that is no quantity": {
			Platform{},
			[]spec.Service{with(job("a"), func(s *spec.Service) { s.Memory = "1 Gig" })},
			`service "a": reading memory "1 Gig"`,
		},
		"a size that is no quantity": {
			Platform{},
			[]spec.Service{with(worker("a"), func(s *spec.Service) { s.Volumes = []spec.Volume{{Name: "tmp", Path: "/tmp", Size: "big"}} })},
			`service "a": volume "tmp": reading size "big"`,
		},
		"two folders of one name": {
			Platform{},
			[]spec.Service{with(worker("a"), func(s *spec.Service) {
				s.Volumes = []spec.Volume{{Name: "a_b", Path: "/a", Claim: "a"}, {Name: "a-b", Path: "/b", Claim: "b"}}
			})},
			`service "a": volumes "a_b" and "a-b" would both be named "a-b": rename one`,
		},
		"secrets without a Secret": {
			Platform{Secrets: map[string]string{"b": "b"}},
			[]spec.Service{with(worker("a"), func(s *spec.Service) { s.Secrets = map[string]string{"A": "k8s://a#b"} })},
			`service "a": it has secrets, and there is no Secret with their values`,
		},
		"a Gateway where there is none": {
			Platform{Routing: agent.Routing{Gateway: "public"}},
			[]spec.Service{{Name: "a", Type: spec.Web, Port: 80, CPU: "1", Memory: "1Gi", Domains: []string{"a.example.com"}}},
			`service "a": domains go through the Gateway "public", and this cluster has no HTTPRoutes: install the Gateway API`,
		},
		"to start from nothing without a queue": {
			Platform{},
			[]spec.Service{with(worker("a"), func(s *spec.Service) { s.Scale = spec.Scale{Max: 3} })},
			`service "a": scale.min is 0: without a queue nothing starts the first pod, want at least 1`,
		},
		"a queue without KEDA": {
			Platform{Secrets: map[string]string{"a": "a"}},
			[]spec.Service{queue(spec.Queue{Type: "redis", Name: "jobs", From: "REDIS_URL"})},
			`service "a": scale.queue needs KEDA, which this cluster does not have: install it (https://keda.sh) or scale by cpu`,
		},
		"a queue of an unknown type": {
			keda,
			[]spec.Service{queue(spec.Queue{Type: "kafka", Name: "jobs", From: "REDIS_URL"})},
			`service "a": scale.queue: unknown type "kafka", want redis, sqs or rabbitmq`,
		},
		"a queue from an unknown variable": {
			keda,
			[]spec.Service{queue(spec.Queue{Type: "rabbitmq", Name: "jobs", From: "AMQP_URL"})},
			`service "a": scale.queue: variable "AMQP_URL" is neither in env nor in secrets of the service`,
		},
		"a queue from a secret without a Secret of its own": {
			keda,
			[]spec.Service{queue(spec.Queue{Type: "redis", Name: "jobs", From: "SECRET_URL"})},
			`service "a": scale.queue: variable "SECRET_URL" is secret, and there is no Secret with its parts`,
		},
		"a list of something that is no Redis server": {
			keda,
			[]spec.Service{queue(spec.Queue{Type: "redis", Name: "jobs", From: "SENTINELS"})},
			`service "a": scale.queue: want redis://HOST:PORT, rediss://HOST:PORT or HOST:PORT`,
		},
		"a list behind a password that is no secret": {
			keda,
			[]spec.Service{queue(spec.Queue{Type: "redis", Name: "jobs", From: "ACCOUNT"})},
			`service "a": scale.queue: the URL has a password: keep it in secrets instead of env`,
		},
		"a queue of SQS by its name alone": {
			keda,
			[]spec.Service{queue(spec.Queue{Type: "sqs", Name: "jobs"})},
			`service "a": scale.queue: want the URL of the queue, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Objects(agent.Release{Line: agent.Line{App: "shop"}, App: spec.App{Services: test.services}}, test.platform)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestPredeployRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		task spec.Task
		want string
	}{
		"a cpu that is no quantity": {spec.Task{CPU: "fast", Memory: "1Gi"}, `predeploy: reading cpu "fast"`},
		"secrets without a Secret": {
			spec.Task{CPU: "1", Memory: "1Gi", Secrets: map[string]string{"A": "k8s://a#b"}},
			"predeploy: it has secrets, and there is no Secret with their values",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Task(agent.Release{App: spec.App{Predeploy: &test.task}}, agent.TaskPredeploy, Platform{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
