package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/inhaul/inhaul/spec"
)

// serverless is the conversion of a serverless.yml.
type serverless struct {
	*conversion
	*draft
	runtime  string // of functions that say none
	provider *node
	web      *level // the service of all functions that serve HTTP; nil before the first
	serving  *node  // the last of these functions
	routes   []string
}

// serverless converts a serverless.yml: a function that serves HTTP becomes part
// of one web service, one on a schedule a job.
// https://www.serverless.com/framework/docs/providers/aws/guide/serverless.yml
func (c *conversion) serverless(name string) []*draft {
	root := c.open(name)
	if root == nil {
		return nil
	}
	root.refuseCredentials()
	s := &serverless{conversion: c, draft: &draft{}, provider: root.at("provider")}
	service := root.at("service")
	if service != nil && service.kind == mapping {
		service = service.at("name")
	}
	if s.variable(service) {
		service = nil
	}
	s.appName(c, service, root.place)
	if !c.exists(dockerfile) {
		s.build.set("method", "buildpacks", root.place).after = "there is no Dockerfile"
	}
	s.platform()
	s.runtime = s.provider.at("runtime").textOnly()
	s.provider.at("runtime").leave("the Dockerfile or the buildpacks choose what the code runs on")
	s.environment(s.provider.at("environment"), &s.env, &s.secrets)
	for _, function := range s.functions(root.at("functions")) {
		s.function(function)
	}
	if len(s.services.entries) == 0 && len(c.errs) == 0 {
		at := cmp.Or(root.at("functions"), root).place
		stand := s.services.sub("worker", at)
		stand.set("type", "worker", at).after = "stands for functions that only events start, or that could not be read"
		stand.set("replicas", 0, at).after = "say how many, once run reads the events"
		c.say(at, "functions", "none that could be read serves HTTP, has a schedule or runs when somebody asks: the worker stands for them, and no pod runs of it until you say its command and how many")
	}
	if s.web != nil {
		s.services.byName["web"].above = lines(append([]string{
			"Lambda handlers do not serve HTTP themselves: the image's own command has to, on $PORT.",
			"What API Gateway routed, the app has to route:",
		}, s.routes...)...)
	}
	s.provider.leaveAll(providerReasons())
	root.leaveAll(serverlessReasons())
	return []*draft{s.draft}
}

// platform names a provider that is not AWS.
func (s *serverless) platform() {
	name := s.provider.at("name")
	if s.provider != nil && s.provider.kind == scalar {
		name = s.provider // provider: aws
	}
	if name.textOnly() == "aws" {
		name.take()
		return
	}
	name.leave("only functions of AWS are known; what others have in common with them is here")
}

// functions returns the functions: entries, or lists of entries.
func (s *serverless) functions(n *node) []*node {
	if n == nil || n.kind != list {
		return n.entries()
	}
	var all []*node
	for _, item := range n.items() {
		if item.kind == scalar {
			item.leave("is in another file, which is not read: put the functions here")
			continue
		}
		all = append(all, item.entries()...)
	}
	return all
}

// variable names n if it has a variable of the framework in it, which only its
// own deploy knows the value of.
func (s *serverless) variable(n *node) bool {
	if n == nil || !strings.Contains(n.textOnly(), "${") {
		return false
	}
	n.leave("has a variable of the Serverless Framework, whose value is not known here: say the value, or a reference in secrets")
	return true
}

// environment maps variables; those from the Parameter Store are references.
func (s *serverless) environment(n *node, env, secrets *level) {
	if s.variable(n) {
		return
	}
	for _, v := range n.entries() {
		s.environmentVariable(v, env, secrets)
	}
}

func (s *serverless) environmentVariable(v *node, env, secrets *level) {
	switch {
	case v.name == "PORT":
		v.leave("Inhaul sets PORT to the port of the web service: say port: there")
	case !isVariable(v.name):
		v.leave("is no name of an environment variable: want letters, digits and _, no digit first")
	case v.kind == mapping || v.kind == list:
		v.leave("is a value that CloudFormation computes: say the value, or a reference in secrets")
	case parameter.MatchString(v.textOnly()):
		reference := "aws-ssm://" + parameter.FindStringSubmatch(v.text)[1]
		if _, err := spec.ParseReference(reference); err != nil {
			s.variable(v)
			return
		}
		secrets.set(v.name, reference, v.place)
		v.take()
	case s.variable(v):
	default:
		if text, ok := v.string(); ok {
			env.set(v.name, text, v.place).above = suspicious(v.name, text)
		}
	}
}

// function maps a function by what calls it.
func (s *serverless) function(n *node) {
	if s.variable(n) {
		return
	}
	if n.kind != mapping || len(n.children) == 0 {
		n.leave("want keys and values with a handler")
		return
	}
	called := false
	events := n.at("events")
	for _, event := range events.items() {
		called = s.event(n, event) || called
	}
	if url := n.at("url"); url != nil {
		if url.kind == mapping {
			url.leaveAll(map[string]string{"cors": "the app answers CORS itself", "authorizer": "the app has to check who asks"})
		}
		if url.kind == mapping || isTrue(url) {
			s.serve(n, "the URL of the function")
			called = true
		}
	}
	if !called && (events == nil || len(events.children) == 0) {
		// Called by name alone: by other code, or by a person.
		s.job(n, n).byName["type"].after = "nothing calls it by itself, so it runs when somebody asks"
		called = true
	}
	if !called {
		n.note("is called by nothing that Inhaul knows, so it is no service here")
	}
	reasons := functionReasons()
	if called {
		delete(reasons, "handler")
	}
	n.leaveAll(reasons)
}

// event maps what calls a function; ok is false if nothing is made of it.
func (s *serverless) event(function, n *node) (ok bool) {
	if n.kind == scalar {
		n.leave("is an event that Inhaul does not know")
		return false
	}
	for _, e := range n.entries() {
		switch e.name {
		case "http", "httpApi", "alb":
			if !s.variable(e) {
				s.serve(function, s.route(e))
				ok = true
			}
		case "schedule":
			ok = s.schedules(function, e) || ok
		default:
			e.leave("nothing here is called by this event: let a worker read it from where it comes, such as the queue")
		}
	}
	return ok
}

// route returns what an HTTP event says of paths.
func (s *serverless) route(e *node) string {
	if e.kind != mapping {
		text, _ := e.string()
		return cmp.Or(strings.TrimSpace(strings.Replace(text, "*", "any method, any path", 1)), "any method, any path")
	}
	var parts []string
	for _, key := range []string{"method", "path"} {
		if n := e.at(key); n != nil && !s.variable(n) {
			if text, ok := n.string(); ok {
				parts = append(parts, strings.ReplaceAll(text, "*", "any "+key))
			}
		}
	}
	e.leaveAll(map[string]string{
		"cors": "the app answers CORS itself", "authorizer": "the app has to check who asks", "private": "the app has to check who asks",
		"async": "the app answers every request itself", "request": "the app checks requests itself", "response": "the app makes its answers itself",
		"timeout":     "how long a request may take is the app's business",
		"listenerArn": "the cluster's routing takes the place of the load balancer", "priority": "the cluster's routing takes the place of the load balancer",
		"conditions": "the app has to route what the load balancer did", "healthCheck": "say health of the service",
	})
	return cmp.Or(strings.Join(parts, " "), "any method, any path")
}

// serve adds a function to the web service.
func (s *serverless) serve(n *node, route string) {
	handler := n.at("handler").textOnly()
	if s.web == nil {
		s.web = s.services.sub("web", n.place)
		s.web.set("type", "web", n.place)
	}
	line := "  " + strings.TrimSpace(route) + " → " + cmp.Or(handler, n.name)
	if !slices.Contains(s.routes, line) {
		s.routes = append(s.routes, line)
	}
	if s.serving == n {
		return
	}
	s.serving = n
	n.at("handler").leave("is called by Lambda, which serves HTTP for it: have the image's command listen on $PORT and route to it, for instance with an HTTP framework of its language")
	n.at("timeout").leave("how long a request may take is the app's business")
	memory := cmp.Or(n.at("memorySize"), s.provider.at("memorySize"))
	most := ""
	if e := s.web.byName["memory"]; e != nil {
		most, _ = e.value.(string)
	}
	if megabytes(most) < megabytes(memory.textOnly()) || s.variable(memory) {
		s.memory(memory, s.web)
	} else {
		n.at("memorySize").leave("another function of the web service has as much or more, which counts")
	}
	env, secrets := &level{}, &level{}
	s.environment(n.at("environment"), env, secrets)
	s.share(n, env, "env", "secrets")
	s.share(n, secrets, "secrets", "env")
}

// share gives the web service the variables of a function, unless it has them
// from another one.
func (s *serverless) share(n *node, variables *level, key, other string) {
	into, beside := s.web.sub(key, n.place), s.web.sub(other, n.place)
	for _, e := range variables.entries {
		if before := into.byName[e.name]; beside.byName[e.name] != nil || before != nil && before.value != e.value {
			n.at("environment").at(e.name).leave("another function of the web service has another value for it, which counts")
			continue
		}
		into.set(e.name, e.value, e.place).above = e.above
	}
}

// isTrue takes n as true or false.
func isTrue(n *node) bool {
	value, _ := n.flag()
	return value
}

// megabytes returns how many text stands for, with or without the unit; 0 if
// it is no number.
func megabytes(text string) int {
	number, _ := strconv.Atoi(strings.TrimSuffix(text, "Mi"))
	return number
}

// memory maps the memory of a function, in megabytes.
func (s *serverless) memory(n *node, to *level) {
	if s.variable(n) {
		return
	}
	if number, ok := n.whole(); ok && number > 0 {
		to.set("memory", strconv.Itoa(number)+"Mi", n.place)
	}
}

// parameter is a variable of the framework that names a parameter of AWS Systems
// Manager, decrypted or not.
var parameter = regexp.MustCompile(`^\$\{ssm:(/[A-Za-z0-9_./-]+)(?:~(?:true|false))?\}$`)

// kebab puts a hyphen between the words of aNameLikeThis.
func kebab(name string) string {
	var b strings.Builder
	var before rune
	for _, r := range name {
		if unicode.IsUpper(r) && (unicode.IsLower(before) || unicode.IsDigit(before)) {
			b.WriteByte('-')
		}
		b.WriteRune(r)
		before = r
	}
	return b.String()
}

// handlerCommand returns the command that calls a Lambda handler once, with an
// empty event; ok is false for runtimes in which a shell cannot.
func handlerCommand(runtime, handler string) (command string, ok bool) {
	parts := regexp.MustCompile(`^((?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+)\.([A-Za-z_][A-Za-z0-9_]*)$`).FindStringSubmatch(strings.TrimPrefix(handler, "./"))
	if parts == nil {
		return "", false
	}
	switch file, function := parts[1], parts[2]; {
	case strings.HasPrefix(runtime, "nodejs"):
		return fmt.Sprintf(`node -e 'new Promise((ok, no) => { const r = require("./%s").%s({}, {}, (e, v) => e ? no(e) : ok(v)); if (r && r.then) r.then(ok, no) }).catch((e) => { console.error(e); process.exit(1) })'`, file, function), true
	case strings.HasPrefix(runtime, "python"):
		return fmt.Sprintf(`python -c 'import importlib; importlib.import_module("%s").%s({}, None)'`, strings.ReplaceAll(file, "/", "."), function), true
	}
	return "", false
}
