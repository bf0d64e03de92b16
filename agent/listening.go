package agent

import (
	"regexp"
	"strconv"
	"strings"
)

// listening is where a program says that it takes connections.
type listening struct {
	text     string // as it says it: "127.0.0.1:3000", "port 3000"
	host     string // may be empty
	port     int
	loopback bool // reached from inside its container alone
}

// What a log line has to say, and what it must not, to be taken at its word. A
// program that connects to a database names a port too.
var (
	listens  = regexp.MustCompile(`(?i)\b(listen(s|ing)?|serving|served|bound|binding|running|ready|started|starting|accepting connections|available|access|local|network|server)\b`)
	connects = regexp.MustCompile(`(?i)(connect(ed|ing)?\b.* to|refused|fail|error|cannot|can't|unable|timeout|timed out|retry|upstream|proxy|database|postgres|mysql|redis|mongo|kafka|rabbit|amqp|smtp|debugger|inspector|pprof|metrics|prometheus|telemetry|otel|livereload|in use)`)
	clock    = regexp.MustCompile(`\b\d{1,2}:\d{2}:\d{2}\b`)
	address  = regexp.MustCompile(`(?i)(?:[a-z][a-z0-9+.-]*://([a-z0-9.-]*|\*|\[[0-9a-f:.]*\])|(?:^|[\s"'(=,@/])(localhost|\*|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]*\]|::1?|0?)):(\d{2,5})\b`)
	named    = regexp.MustCompile(`(?i)\bports?(?:\(s\))?\\?["']?\s*[:=#]?\s*(?:is\s+)?\\?["']?(\d{2,5})\b`)
)

// maxPort is the largest port there is.
const maxPort = 1<<16 - 1

// listenings are the places on which a log says that its program listens, oldest
// first. It is a guess, and told as the log's word: programs write what they like.
func listenings(log string) []listening {
	var all []listening
	for line := range strings.Lines(log) {
		line = clock.ReplaceAllString(line, "")
		if !listens.MatchString(line) || connects.MatchString(line) {
			continue
		}
		if l, found := listeningOf(line); found {
			all = append(all, l)
		}
	}
	return all
}

func listeningOf(line string) (listening, bool) {
	if found := address.FindStringSubmatch(line); found != nil {
		host := found[1] + found[2]
		port, err := strconv.Atoi(found[3])
		bare := strings.Trim(host, "[]")
		if strings.Contains(bare, ":") {
			host = "[" + bare + "]"
		}
		l := listening{text: host + ":" + found[3], host: host, port: port}
		l.loopback = bare == "localhost" || bare == "::1" || strings.HasPrefix(bare, "127.")
		if host == "" {
			l.text = "port " + found[3]
		}
		return l, err == nil && port <= maxPort
	}
	found := named.FindStringSubmatch(line)
	if found == nil {
		return listening{}, false
	}
	port, err := strconv.Atoi(found[1])
	return listening{text: "port " + found[1], port: port}, err == nil && port > 0 && port <= maxPort
}
