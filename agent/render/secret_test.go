package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/spec"
)

func TestHolders(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"A": "k8s://a#b", "REDIS_URL": "k8s://a#c"}
	redis := spec.Queue{Type: "redis", Name: "jobs", From: "REDIS_URL"}
	scale := spec.Scale{Min: 1, Max: 2, Queue: redis}
	task := &spec.Task{Secrets: secrets}
	cache := []spec.Database{{Name: "cache", Type: "redis", Env: "REDIS_URL"}}
	tests := map[string]struct {
		app  spec.App
		want []Holder
	}{
		"nobody": {spec.App{Services: []spec.Service{{Name: "web"}}, Predeploy: &spec.Task{}}, nil},
		"a service and the predeploy": {
			spec.App{Services: []spec.Service{{Name: "web"}, {Name: "worker", Secrets: secrets}}, Predeploy: task},
			[]Holder{{Name: "worker", Secrets: secrets}, {Name: TaskHolder(agent.TaskPredeploy), Secrets: secrets}},
		},
		"the scaler of a queue besides": {
			spec.App{Services: []spec.Service{{Name: "worker", Secrets: secrets, Scale: scale}}},
			[]Holder{
				{Name: "worker", Secrets: secrets},
				{Name: "worker.queue", Secrets: map[string]string{"REDIS_URL": "k8s://a#c"}, Queue: redis},
			},
		},
		"no scaler of a server that is no secret": {
			spec.App{Services: []spec.Service{{Name: "worker", Env: map[string]string{"REDIS_URL": "redis://a"}, Scale: scale}}},
			nil,
		},
		"no scaler of rabbitmq, which reads URLs": {
			spec.App{Services: []spec.Service{{
				Name: "worker", Secrets: secrets, Scale: spec.Scale{Max: 2, Queue: spec.Queue{Type: "rabbitmq", From: "REDIS_URL"}},
			}}},
			[]Holder{{Name: "worker", Secrets: secrets}},
		},
		"everybody where there are databases": {
			spec.App{Services: []spec.Service{{Name: "web"}, {Name: "worker", Scale: scale}}, Predeploy: &spec.Task{}, Databases: cache},
			[]Holder{{Name: "web"}, {Name: "worker"}, {Name: "worker.queue", Queue: redis}, {Name: TaskHolder(agent.TaskPredeploy)}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, Holders(test.app)); diff != "" {
				t.Errorf("holders (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryHolderIsWanted proves over all stories that a release renders with a
// Secret for each of its holders and mentions every one of them.
func TestEveryHolderIsWanted(t *testing.T) {
	t.Parallel()
	for _, s := range stories(t) {
		s.platform.KEDA, s.platform.Gateway = true, true
		s.platform.Secrets = map[string]string{}
		for _, h := range Holders(s.release.App) {
			s.platform.Secrets[h.Name] = SecretName(s.release.Line.App, h.Name, "content")
		}
		var text strings.Builder
		for _, object := range append(s.objects(t), s.predeploy(t)...) {
			document, err := object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			text.Write(document)
		}
		for holder, secret := range s.platform.Secrets {
			if !strings.Contains(text.String(), `"`+secret+`"`) {
				t.Errorf("%s: nothing mentions %s of %s", s.folder, secret, holder)
			}
		}
	}
}

func TestHolderData(t *testing.T) {
	t.Parallel()
	queue := func(kind string) Holder { return Holder{Queue: spec.Queue{Type: kind, From: "URL"}} }
	redis := func(address, username, password, tls string) map[string]string {
		return map[string]string{"address": address, "username": username, "password": password, "tls": tls}
	}
	tests := map[string]struct {
		holder Holder
		url    string
		want   map[string]string
	}{
		"a service":             {Holder{}, "redis://a", map[string]string{"URL": "redis://a"}},
		"a server and its port": {queue("redis"), "cache.internal:6380", redis("cache.internal:6380", "", "", "disable")},
		"a bare URL":            {queue("redis"), "redis://cache", redis("cache:6379", "", "", "disable")},
		"a password with signs": {queue("redis"), "redis://:s%40cret@cache:7000/0", redis("cache:7000", "", "s@cret", "disable")},
		"a user and TLS":        {queue("redis"), "rediss://app:secret@cache:7000/", redis("cache:7000", "app", "secret", "enable")},
		"an address of IPv6":    {queue("redis"), "redis://[fd00::1]:7000", redis("[fd00::1]:7000", "", "", "disable")},
		"a queue of SQS":        {queue("sqs"), "https://sqs.eu-west-1.amazonaws.com/123456789012/a", map[string]string{"awsRegion": "eu-west-1"}},
		"one with an old URL":   {queue("sqs"), "https://us-west-2.queue.amazonaws.com/123456789012/a.fifo", map[string]string{"awsRegion": "us-west-2"}},
		"one in China":          {queue("sqs"), "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/a", map[string]string{"awsRegion": "cn-north-1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.holder.Data(map[string]string{"URL": test.url})
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v, data (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestHolderDataRefusesWithoutTheValue(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ kind, url, want string }{
		"another scheme":      {"redis", "https://:hunter2@cache", "want redis://HOST:PORT"},
		"a URL that is none":  {"redis", "redis://:hunter2@cache:port", "want redis://HOST:PORT"},
		"no host":             {"redis", "redis:///hunter2", "want redis://HOST:PORT"},
		"no port":             {"redis", "hunter2", "want redis://HOST:PORT"},
		"another database":    {"redis", "redis://:hunter2@cache/2", "the URL names database 2, and KEDA can look at database 0 alone"},
		"a database's name":   {"redis", "redis://cache/hunter2", "want the number of a database"},
		"a queue's name":      {"sqs", "hunter2", "want the URL of the queue"},
		"a queue of nowhere":  {"sqs", "https://hunter2.example.com/123456789012/a", "want the URL of the queue"},
		"a variable not said": {"redis", "", `variable "URL" has no value`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := map[string]string{}
			if test.url != "" {
				values["URL"] = test.url
			}
			_, err := Holder{Queue: spec.Queue{Type: test.kind, From: "URL"}}.Data(values)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `variable "URL"`) {
				t.Fatalf("got %v, want %q and the variable", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q has the value", err)
			}
		})
	}
}
