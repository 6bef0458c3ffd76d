/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A status, a message and a text, in single quotes (json_of). */

/* With further members, each with its comma. */
#define SAMPLE_STATUS_WITH(more)                                                                              \
	"{'status':{" more "'running':true,'publicId':'ab12','version':'0.1.0','pid':4711,"                   \
	"'startedAt':'2026-11-22T20:00:00Z','runningSince':'2026-11-22T20:00:01Z',"                           \
	"'configurationFile':'/tmp/n.conf','nodeId':'n123','nodes':1,'memory':5242880,"                       \
	"'nodeList':[{'nodeId':'n5','name':'a.ts.net','addresses':['100.64.0.5'],'tags':['tag:x','tag:y']}]," \
	"'window':{'periodMs':5000,'lastEnd':'2026-11-22T20:23:14Z','lastConnections':120,'lastMessages':1,"  \
	"'lastCpuUs':3200},"                                                                                  \
	"'tun':{'state':'counting','configured':'auto','source':'ebpf','attachment':'tcx','interface':'wg0'," \
	"'ifindex':7,'lastConnections':117,'totals':{'txPkts':10,'txBytes':2048,'rxPkts':1,'rxBytes':64},"    \
	"'overflow':{'txPkts':3,'txBytes':180,'rxPkts':0,'rxBytes':0},'memory':18874368},"                    \
	"'sock':{'state':'waiting','configured':'wireguard','source':'wireguard',"                            \
	"'reason':'wg0 is not there yet','warnings':['look at this']},"                                       \
	"'routes':{'mode':'auto','reconfigured':false,'localAddrs':[{'prefix':'100.64.0.1',"                  \
	"'origin':'found','foundBy':'interface'}],'routes':[{'prefix':'10.0.0.0/8','origin':'configured'}],"  \
	"'subnetRoutes':[],'tailnet':['100.64.0.0/10'],'tailnetExclude':['100.115.92.0/23']},"                \
	"'record':{'messages':1234,'bytes':99999,'windows':1230,'conservationFailures':0},"                   \
	"'spool':{'directory':'/nowhere/spool','messages':12,'bytes':3565158,'maxSize':536870912,"            \
	"'firstSequence':1,'lastSequence':12,'waitingMessages':2,'waitingBytes':100,'lostMessages':5,"        \
	"'lostBytes':5000,'removedMessages':0,'removedBytes':0,'damagedFrames':0,"                            \
	"'error':'No space left on device'},"                                                                 \
	"'uploader':{'connected':true,'pid':4712,'restarts':2},"                                              \
	"'sinks':[{'name':'main','type':'logtail','state':'retrying','backlogMessages':9,"                    \
	"'backlogBytes':1536,'lastError':'503 \\u001b[31mbusy','retries':4,'warning':'table \\u001b lacks columns'}]}}"
#define SAMPLE_STATUS SAMPLE_STATUS_WITH("")

/* Of routes, what Status has when GetRoutes has the lists. */
#define SAMPLE_STATUS_WITHOUT_LISTS                                                                          \
	"{'status':{'running':true,'version':'0.1.0','pid':4711,'startedAt':'2026-11-22T20:00:00Z',"         \
	"'window':{'periodMs':5000},'tun':{'state':'stopped','configured':'none','source':'none'},"          \
	"'sock':{'state':'stopped','configured':'none','source':'none'},"                                    \
	"'routes':{'mode':'auto','reconfigured':false,'localAddrs':[],'routes':[],'subnetRoutes':[],"        \
	"'localAddrsTotal':1,'routesTotal':1,'tailnet':[],'tailnetExclude':[]},"                             \
	"'record':{'messages':0,'bytes':0,'windows':0,'conservationFailures':0},"                            \
	"'spool':{'directory':'/nowhere/spool','messages':0,'bytes':0,'maxSize':1,'firstSequence':0,"        \
	"'lastSequence':0,'waitingMessages':0,'waitingBytes':0,'lostMessages':0,'lostBytes':0,"              \
	"'removedMessages':0,'removedBytes':0,'damagedFrames':0},'sinks':[]}}"

#define SAMPLE_MESSAGE                                                                                       \
	"{'logtail':{'client_time':'2022-10-13T20:23:14.7Z','proc_id':5,'proc_seq':7},'nodeId':'n123',"      \
	"'start':'2022-10-13T20:23:09.644Z','end':'2022-10-13T20:23:14.644Z',"                               \
	"'srcNode':{'nodeId':'n123','name':'me.ts.net','addresses':['100.64.0.1']},"                         \
	"'virtualTraffic':[{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:42912','txPkts':80,"           \
	"'txBytes':8140,'rxPkts':52,'rxBytes':5164}],"                                                       \
	"'physicalTraffic':[{'proto':0,'src':'100.64.0.2:0','dst':'192.0.2.2:51820','txPkts':81,"            \
	"'txBytes':10732}],'overflow':{'tun':{'rxPkts':12,'rxBytes':768}}}"

#define SAMPLE_TEXT                                                                                          \
	"{'logtail':{'client_time':'2022-10-13T20:23:15Z','proc_id':5,'proc_seq':8},'text':'netlogd: stopped'}"
