//go:build linux && (cgo || !android)

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// cSource finds in a C file what goSource finds in a Go file. It
// knows as much C as the shims are written in, and no more: declarations, statements
// and expressions without macros that hide an operator.
func cSource(path, text string) (*source, error) {
	c := &cFinder{source: &source{path: path, text: text}, tokens: cTokens(text)}
	if err := c.pairBrackets(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.file()
	c.number()
	return c.source, nil
}

type cToken struct {
	text       string
	start, end int
	partner    int // of a bracket, the other one
}

// What is no token: comments, and the preprocessor's lines with their continuations.
var cSpace = regexp.MustCompile(`^(\s|/\*(?s:.*?)\*/|//[^\n]*|#(\\\n|[^\n])*)`)

var cWord = regexp.MustCompile(`^([A-Za-z_0-9]+|"(\\.|[^"\\])*"|'(\\.|[^'\\])*'|->|\+\+|--|<<=?|>>=?|&&|\|\||[-+*/%&|^!=<>]=|.)`)

func cTokens(text string) (tokens []cToken) {
	for at := 0; at < len(text); {
		if space := cSpace.FindString(text[at:]); space != "" {
			at += len(space)
			continue
		}
		word := cWord.FindString(text[at:])
		tokens = append(tokens, cToken{text: word, start: at, end: at + len(word)})
		at += len(word)
	}
	return tokens
}

type cFinder struct {
	*source
	tokens   []cToken
	function string
}

func (c *cFinder) pairBrackets() error {
	var open []int
	for i, t := range c.tokens {
		switch t.text {
		case "(", "[", "{":
			open = append(open, i)
		case ")", "]", "}":
			if len(open) == 0 {
				return fmt.Errorf("a bracket too many, at byte %d", t.start)
			}
			last := open[len(open)-1]
			open = open[:len(open)-1]
			c.tokens[i].partner, c.tokens[last].partner = last, i
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("a bracket too few, for that at byte %d", c.tokens[open[0]].start)
	}
	return nil
}

// file goes through the declarations, into the functions.
func (c *cFinder) file() {
	for i, t := range c.tokens {
		if t.text == "{" && i > 0 && c.tokens[i-1].text == ")" && c.depth(i) == 0 {
			c.function = c.tokens[c.tokens[i-1].partner-1].text
			c.statements(i+1, t.partner)
			c.constants(i+1, t.partner)
		}
	}
}

func (c *cFinder) depth(i int) (depth int) {
	for j, t := range c.tokens[:i] {
		if t.text == "{" && t.partner > j && t.partner > i {
			depth++
		}
	}
	return depth
}

func (c *cFinder) statements(from, to int) {
	for i := from; i < to; {
		switch t := c.tokens[i]; t.text {
		case "if", "while":
			closing := c.tokens[i+1].partner
			changes := []change{always, never, inverted}
			if t.text == "while" {
				changes = []change{never}
			}
			c.condition(i+2, closing, changes...)
			i = closing + 1
		case "switch":
			closing := c.tokens[i+1].partner
			c.expression(i+2, closing)
			i = closing + 1
		case "for":
			closing := c.tokens[i+1].partner
			first := c.find(i+2, closing, ";")
			second := c.find(first+1, closing, ";")
			c.expression(i+2, first)
			c.condition(first+1, second, never)
			c.expression(second+1, closing)
			i = closing + 1
		case "case":
			colon := c.find(i, to, ":")
			c.add(c.function, t.start, c.tokens[colon].end, dropped, "")
			i = colon + 1
		case "{", "}", ";", "else", "do", "return", "default", ":":
			i++
		default: // an expression or a declaration
			end := i
			for end < to && !slices.Contains([]string{";", "{", "}"}, c.tokens[end].text) {
				if t := c.tokens[end]; t.text == "(" || t.text == "[" {
					end = t.partner
				}
				end++
			}
			if c.tokens[i-1].text != "return" && c.tokens[end].text == ";" && c.executes(i) {
				c.add(c.function, t.start, c.tokens[end].end, removed, "")
			}
			c.expression(i, end)
			i = end
		}
	}
}

// executes tells a statement from a declaration, and from the rest of one.
func (c *cFinder) executes(i int) bool {
	first := c.tokens[i].text
	return first == "(" || first == "*" || cName.MatchString(first) && !c.declares(i)
}

// declares tells a declaration, which begins with a type and a name, from an expression.
func (c *cFinder) declares(i int) bool {
	next := c.tokens[i+1].text
	return cName.MatchString(c.tokens[i].text) && (cName.MatchString(next) || next == "*")
}

var (
	cName   = regexp.MustCompile(`^[A-Za-z_]`)
	cNumber = regexp.MustCompile(`^[0-9]`)
)

// constants finds the numbers of a function and the operands of |, but not the sizes of
// arrays that are declared, and not the cases of a switch.
func (c *cFinder) constants(from, to int) {
	for i := from; i < to; i++ {
		t, last := c.tokens[i], c.tokens[i-1]
		switch {
		case t.text == "case":
			i = c.find(i, to, ":")
		case t.text == "[" && i > 1 && c.declares(i-2):
			i = t.partner
		case cNumber.MatchString(t.text):
			c.add(c.function, t.start, t.end, oneMore, "")
		case t.text == "|":
			c.add(c.function, last.start, c.tokens[i+1].start, cleared, "")
			c.add(c.function, last.end, c.tokens[i+1].end, cleared, "")
		}
	}
}

// find returns the first of the operators in a range and not in brackets, or the end
// of the range.
func (c *cFinder) find(from, to int, operators ...string) int {
	for i := from; i < to; i++ {
		if slices.Contains(operators, c.tokens[i].text) {
			return i
		}
		if strings.Contains("([{", c.tokens[i].text) {
			i = c.tokens[i].partner
		}
	}
	return to
}

var (
	cAssignments = []string{"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>="}
	cComparisons = []string{"==", "!=", "<", "<=", ">", ">="}
	cBoundaries  = map[string]string{"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
)

// expression finds what is true or false within an expression that itself is not, or
// is a comparison whose value is used. It splits at what binds least.
func (c *cFinder) expression(from, to int) {
	if from >= to {
		return
	}
	if i := c.find(from, to, ","); i < to {
		c.expression(from, i)
		c.expression(i+1, to)
		return
	}
	if i := c.find(from, to, cAssignments...); i < to {
		c.expression(from, i)
		c.expression(i+1, to)
		return
	}
	if i := c.find(from, to, "?"); i < to {
		colon := c.find(i, to, ":")
		c.condition(from, i, always, never, inverted)
		c.expression(i+1, colon)
		c.expression(colon+1, to)
		return
	}
	if c.isBoolean(from, to) {
		c.condition(from, to, always, never, inverted)
		return
	}
	c.within(from, to)
}

// within goes into the brackets of an expression without operators of interest.
func (c *cFinder) within(from, to int) {
	for i := from; i < to; i++ {
		if t := c.tokens[i]; strings.Contains("([{", t.text) {
			c.expression(i+1, t.partner)
			i = t.partner
		}
	}
}

func (c *cFinder) isBoolean(from, to int) bool {
	operators := append([]string{"||", "&&"}, cComparisons...)
	return c.tokens[from].text == "!" || c.find(from, to, operators...) < to
}

// condition mutates an expression that is true or false, as a whole and in its parts.
func (c *cFinder) condition(from, to int, changes ...change) {
	start, end := c.tokens[from].start, c.tokens[to-1].end
	for c.tokens[from].text == "!" && c.find(from, to, append([]string{"||", "&&"}, cComparisons...)...) == to {
		from++
	}
	for c.tokens[from].text == "(" && c.tokens[from].partner == to-1 {
		from, to = from+1, to-1
	}
	operator, without := "||", never
	if c.find(from, to, "||") == to {
		operator, without = "&&", always
	}
	logical := c.find(from, to, operator) < to
	for _, change := range changes {
		if change == inverted && logical {
			continue // its operands are
		}
		c.add(c.function, start, end, change, "")
	}
	if logical {
		for from < to {
			i := c.find(from, to, operator)
			c.condition(from, i, without, inverted)
			from = i + 1
		}
		return
	}
	i := c.find(from, to, cComparisons...)
	if i == to {
		c.within(from, to)
		return
	}
	if other, ok := cBoundaries[c.tokens[i].text]; ok {
		s, e := c.tokens[from].start, c.tokens[to-1].end
		c.add(c.function, s, e, boundary, c.text[s:c.tokens[i].start]+other+c.text[c.tokens[i].end:e])
	}
	c.expression(from, i)
	c.expression(i+1, to)
}
