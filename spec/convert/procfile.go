package convert

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// process is a line of a Procfile.
type process struct {
	name    string
	command string
	place
	// Of a process that another one starts (a Procfile inside a Procfile):
	parent string // name of the one that Heroku knows
	serves bool   // it is the one that listens on PORT
}

// maxProcfiles is how deep Procfiles start one another.
const maxProcfiles = 3

// processes returns the processes of a Procfile, those that it starts from
// other Procfiles in their place.
func (c *conversion) processes(name string, depth int) []process {
	text, ok := c.read(name)
	if !ok {
		return nil
	}
	var all []process
	for _, p := range c.lines(name, text) {
		inner := c.inner(p, depth)
		if inner == nil {
			inner = []process{p}
		}
		all = append(all, inner...)
	}
	return all
}

// lines returns the processes of a Procfile as they are written.
func (c *conversion) lines(name, text string) []process {
	// https://devcenter.heroku.com/articles/procfile#procfile-naming-and-location
	shape := regexp.MustCompile(`^([A-Za-z0-9_-]+):\s*(\S.*)$`)
	var all []process
	first := map[string]int{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		at := place{name, i + 1, 1}
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") {
			continue
		}
		parts := shape.FindStringSubmatch(line)
		if parts == nil {
			c.say(at, "", "want NAME: COMMAND; Heroku leaves the line out too")
			continue
		}
		p := process{name: parts[1], command: parts[2], place: at}
		if what, found := c.credential(p.command); found {
			c.refuse(at, p.name, what)
		}
		if before, twice := first[p.name]; twice {
			c.say(all[before].place, p.name, "is here twice, and line %d counts", at.line)
			all[before] = p
			continue
		}
		first[p.name] = len(all)
		all = append(all, p)
	}
	return all
}

// inner returns the processes of the Procfile that p starts, or nil if it
// starts none that can be taken apart.
func (c *conversion) inner(p process, depth int) []process {
	file, only, runs := starter(p.command)
	if !runs {
		return nil
	}
	const stays = "starts several processes as one service"
	switch {
	case file == "":
		c.say(p.place, p.name, stays+", in a way that cannot be taken apart here")
		return nil
	case !c.exists(file):
		c.say(p.place, p.name, stays+"; the Procfile that it names is not here")
		return nil
	case depth >= maxProcfiles || slices.Contains(c.from, file):
		c.say(p.place, p.name, stays+", those of %s once more", file)
		return nil
	}
	var kept []process
	for _, one := range c.processes(file, depth+1) {
		if len(only) > 0 && !slices.Contains(only, one.name) {
			c.say(one.place, one.name, "%s does not start it", p.name)
			continue
		}
		one.parent = p.name
		kept = append(kept, one)
	}
	if len(kept) == 0 {
		c.say(p.place, p.name, stays+"; %s has none of them", file)
		return nil
	}
	c.say(p.place, p.name, "starts the processes of %s as one; here each is a service of its own, so that they share neither localhost nor files", file)
	if p.name == "web" && !slices.ContainsFunc(kept, func(one process) bool { return one.serves }) {
		// The starters give PORT as it is to the first one.
		serving := max(slices.IndexFunc(kept, func(one process) bool { return one.name == "web" }), 0)
		if kept[serving].name != "web" {
			c.say(kept[serving].place, kept[serving].name, "is the first one of web, which gets PORT: it is web here")
		}
		kept[serving].serves, kept[serving].name = true, "web"
	}
	return kept
}

// starter reads a command that starts the processes of a Procfile: which one,
// and which of its processes alone. Runs is false for any other command; file
// is empty where more is said than that.
func starter(command string) (file string, only []string, runs bool) {
	words := strings.Fields(command)
	tools := []string{"foreman", "honcho", "overmind", "hivemind", "goreman", "forego"}
	at := slices.IndexFunc(words, func(word string) bool { return slices.Contains(tools, path.Base(word)) })
	if at < 0 || at > 3 { // before it: bundle exec, poetry run, A=b
		return "", nil, false
	}
	simple := !strings.ContainsAny(command, "&;|<>$`'\"") && !strings.Contains(strings.Join(words[:at], " "), "=")
	started := path.Base(words[at]) == "hivemind"
	for i := at + 1; i < len(words); i++ {
		option, value, joined := strings.Cut(words[i], "=")
		switch {
		case option == "-f" || option == "--procfile":
			if !joined && i+1 < len(words) {
				i++
				value = words[i]
			}
			file = path.Clean(value)
		case strings.HasPrefix(option, "-"):
			simple = false // counts, ports, environments
		case !started && (option == "start" || option == "s"):
			started = true
		case path.Base(words[at]) == "hivemind" && file == "":
			file = path.Clean(option)
		default:
			only = append(only, words[i])
		}
	}
	if !simple || file == "." {
		file = ""
	}
	return file, only, started
}

// endsByItself reports whether a command is a task that ends, and no service: of
// several in a row the last one tells.
func endsByItself(command string) bool {
	for _, separator := range []string{"&&", "||", ";"} {
		command = command[max(strings.LastIndex(command, separator), 0):]
	}
	return task.MatchString(command)
}

var task = regexp.MustCompile(strings.Join([]string{
	// Ruby: the tasks of Rails that change something and end
	`\b(rake|rails|hanami)\s+(db|cache|assets|tmp|log|i18n|sitemap|webpacker|yarn|zeitwerk):`,
	`\brails\s+(console|c|dbconsole|db)(\s|$)`,
	// Python
	`\bmanage\.py\s+(migrate|collectstatic|createcachetable|clearsessions|createsuperuser|loaddata|makemigrations|compilemessages|check|shell)\b`,
	`\b(flask\s+db|alembic)\s+(up|down)grade\b`,
	// PHP, JavaScript, Elixir
	`\bartisan\s+(migrate|db:seed|cache:clear|config:cache|optimize)\b`,
	`\b(sequelize|sequelize-cli|knex|typeorm)\s+(db:|migrat)`,
	`\bprisma\s+(migrate|db)\b`,
	`\bmix\s+ecto\.`,
}, "|"))
