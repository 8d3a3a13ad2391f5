package grpcpeer_test

import (
	"strings"
	"testing"

	"example.com/peercred/grpcpeer"
	"example.com/peercred/guard"
)

// A key that matches no method is an error at start, not at the first call.
func TestRuleKeys(t *testing.T) {
	for key, valid := range map[string]bool{
		"/":                              true,
		"/package.Service/":              true,
		"/package.Service/Method":        true,
		"/Service/Method":                true,
		"/s/":                            true,
		"/a/b/Method":                    true,
		"":                               false,
		"package.Service/Method":         false,
		"package.Service/":               false,
		"package.Service":                false,
		"/package.Service":               false,
		"//Method":                       false,
		"//":                             false,
		"*":                              false,
		"/*":                             false,
		"http://host/package.Service/Do": false,
	} {
		rules := grpcpeer.Rules{key: guard.CurrentUser()}
		for name, construct := range map[string]func(){
			"UnaryServerInterceptor":  func() { grpcpeer.UnaryServerInterceptor(rules) },
			"StreamServerInterceptor": func() { grpcpeer.StreamServerInterceptor(rules) },
			"Require":                 func() { grpcpeer.Require(rules) },
		} {
			if message := panicOf(construct); (message == "") != valid {
				t.Errorf("%s with the key %q panics with %q, valid: %v", name, key, message, valid)
			} else if !valid && !strings.Contains(message, `"`+key+`"`) {
				t.Errorf("%s with the key %q panics with %q, which does not name it", name, key, message)
			}
		}
	}
}

func panicOf(f func()) (message string) {
	defer func() {
		if reason := recover(); reason != nil {
			message = reason.(string)
		}
	}()
	f()
	return ""
}
